// Command engine measures what a pristine instance costs: it runs the benchmark of package runtime in which one guest
// after the other answers in an instance that is never reset, in one that is, in one made on the image, from the image
// and the code on disk, and instantiated anew; and shows the result as a table, as JSON and as a picture.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

const usage = `engine [-count N] [-time D] [-json FILE] [-svg FILE]

Runs go test ./runtime -bench Engine, in the module's directory, and shows the median of N runs in microseconds.`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("engine", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage) }
	count := flags.Int("count", 5, "runs")
	length := flags.String("time", "0.3s", "length of each measurement")
	asJSON := flags.String("json", "", "write JSON to this file")
	svg := flags.String("svg", "", "write a picture to this file")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *count < 1 {
		fmt.Fprintln(stderr, "engine: -count is at least 1")
		return 2
	}
	guests, err := measure(ctx, *count, *length, stderr)
	if err == nil {
		err = show(guests, *asJSON, *svg, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "engine:", err)
		return 1
	}
	return 0
}

// paths are what is measured of each guest, in the order of the picture.
var paths = []struct{ name, title string }{
	{"never-reset", "never reset (leaks)"},
	{"reset", "reset"},
	{"strict", "instance on the image"},
	{"image-from-disk", "image from disk"},
	{"stock", "stock: instantiate, initialise, call"},
	{"code-from-disk", "code and image from disk"},
	{"deploy", "compile and take the image"},
}

// figures are a path's medians, in microseconds.
type figures struct {
	CPU    float64 `json:"us"`        // for a request, one after the other, in one goroutine
	Answer float64 `json:"answer_us"` // of it what the client waits for; 0: the same
	Pages  float64 `json:"pages"`     // copied back by a reset
}

// guest is what was measured of one.
type guest struct {
	Name  string             `json:"guest"`
	Paths map[string]figures `json:"paths"`
}

func measure(ctx context.Context, count int, length string, stderr io.Writer) ([]guest, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "./runtime", "-run", "^$", "-bench", "^BenchmarkEngine$",
		"-timeout", "1h", "-benchtime", length, "-count", strconv.Itoa(count))
	cmd.Stderr = stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out.Bytes())
	}
	return read(&out)
}

// read reads the output of go test -bench and answers the medians, guests in their order.
func read(r io.Reader) ([]guest, error) {
	type key struct{ guest, path, unit string }
	runs, order := map[key][]float64{}, []string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkEngine/") {
			continue
		}
		name := strings.Split(fields[0][:max(strings.LastIndexByte(fields[0], '-'), 0)], "/") // without GOMAXPROCS
		if len(name) != 3 {
			continue
		}
		if !slices.Contains(order, name[1]) {
			order = append(order, name[1])
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("read %q: %w", lines.Text(), err)
			}
			k := key{name[1], name[2], fields[i+1]}
			runs[k] = append(runs[k], v)
		}
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("go test printed no measurement")
	}
	median := func(guest, path, unit string) float64 {
		all := runs[key{guest, path, unit}]
		if len(all) == 0 {
			return 0
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	var guests []guest
	for _, name := range order {
		g := guest{Name: name, Paths: map[string]figures{}}
		for _, p := range paths {
			if op := median(name, p.name, "ns/op"); op > 0 {
				g.Paths[p.name] = figures{op / 1000, median(name, p.name, "ns/answer") / 1000, median(name, p.name, "pages/reset")}
			}
		}
		guests = append(guests, g)
	}
	return guests, lines.Err()
}

// report is what -json writes.
type report struct {
	Guests []guest `json:"guests"`
	// Geometric means of what a reset instance costs, over one that is never reset, without the tiny guest.
	CPURatio    float64 `json:"cpu_ratio"`
	AnswerRatio float64 `json:"answer_ratio"`
}

func summarise(guests []guest) report {
	cpu, answer, n := 0.0, 0.0, 0.0
	for _, g := range guests {
		never, reset := g.Paths["never-reset"], g.Paths["reset"]
		if g.Name == "tiny" || never.CPU == 0 || reset.CPU == 0 {
			continue
		}
		cpu, answer, n = cpu+math.Log(reset.CPU/never.CPU), answer+math.Log(reset.Answer/never.Answer), n+1
	}
	n = max(n, 1)
	return report{guests, math.Exp(cpu / n), math.Exp(answer / n)}
}

func show(guests []guest, asJSON, svg string, stdout io.Writer) error {
	r := summarise(guests)
	table(r, stdout)
	if asJSON != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(asJSON, append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	if svg != "" {
		return os.WriteFile(svg, draw(guests), 0o600)
	}
	return nil
}

func table(r report, stdout io.Writer) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "GUEST\tNEVER RESET\tRESET\tRATIO\tANSWER RATIO\tPAGES\tON IMAGE\tIMAGE FROM DISK\tCODE FROM DISK\tDEPLOY\tSTOCK\tSTOCK/RESET\t")
	for _, g := range r.Guests {
		p := func(name string) figures { return g.Paths[name] }
		never, reset := p("never-reset"), p("reset")
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t\n", g.Name, us(never.CPU), us(reset.CPU),
			ratio(reset.CPU, never.CPU), ratio(reset.Answer, never.Answer), reset.Pages, us(p("strict").CPU),
			us(p("image-from-disk").Answer), us(p("code-from-disk").Answer), us(p("deploy").CPU), us(p("stock").CPU),
			ratio(p("stock").CPU, reset.CPU))
	}
	_ = w.Flush()
	fmt.Fprintf(stdout, "\nMicroseconds. Over all but tiny, reset / never reset: CPU %.2f, answer %.2f (geometric means)\n", r.CPURatio, r.AnswerRatio)
}

// us shows microseconds with three digits that matter.
func us(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return strconv.FormatFloat(a/b, 'f', 2, 64)
}
