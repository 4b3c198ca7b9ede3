package latency

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"strconv"
	"strings"

	"github.com/sett-run/sett/benchmarks/record"
)

// path is a way to an answer that package runtime's benchmark measures.
type path struct {
	name, title string
	answers     bool // what a client waits for is told, beside the processor time
}

func paths() []path {
	return []path{
		{"never-reset", record.NeverReset, true},
		{"reset", "reset", true},
		{"strict", "instance on the image", false},
		{"image-from-disk", "image from disk", true},
		{"code-from-disk", "code and image from disk", true},
		{"stock", "stock: instantiate, initialise, call", false},
		{"deploy", "compile and take the image", false},
	}
}

// engine runs the benchmark of package runtime, in which one guest after the other answers on all paths.
func engine(ctx context.Context, p plan, out *record.Output) error {
	cmd := exec.CommandContext(ctx, "go", "test", "./runtime", "-run", "^$", "-bench", "^BenchmarkEngine$",
		"-timeout", "1h", "-benchtime", p.length.String(), "-count", strconv.Itoa(p.rounds))
	if out.Small {
		cmd.Args = append(cmd.Args, "-short")
	}
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, out.Err
	fmt.Fprintln(out.Out, strings.Join(cmd.Args, " "))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, printed.Bytes())
	}
	if err := read(&printed, out.File); err != nil {
		return err
	}
	cpu, answer := overNeverReset(out.File)
	fmt.Fprintf(out.Out, "Over all guests but tiny, reset / never reset: CPU %.2f, what a client waits for %.2f (geometric means)\n", cpu, answer)
	return nil
}

// answer is what a client waits for.
const answer record.Metric = "answer_us"

// read adds what go test -bench printed.
func read(r io.Reader, f *record.File) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "BenchmarkEngine/") {
			continue
		}
		at := strings.Split(fields[0][:max(strings.LastIndexByte(fields[0], '-'), 0)], "/") // without GOMAXPROCS
		if len(at) != 3 {
			continue
		}
		for _, p := range paths() {
			if p.name != at[2] {
				continue
			}
			if err := add(f, at[1], p, fields[2:]); err != nil {
				return fmt.Errorf("read %q: %w", lines.Text(), err)
			}
		}
	}
	if len(f.Series) == 0 {
		return errors.Join(lines.Err(), errors.New("go test printed no measurement"))
	}
	return lines.Err()
}

// add adds the figures of a line: pairs of a number and its unit.
func add(f *record.File, guest string, p path, figures []string) error {
	for ; len(figures) >= 2; figures = figures[2:] {
		v, err := strconv.ParseFloat(figures[0], 64)
		if err != nil {
			return err
		}
		k := record.Key{Bench: name, Work: guest, Subject: p.title}
		switch figures[1] {
		case "ns/op":
			k.Metric, v = record.CPU, v/1000
		case "ns/answer":
			k.Metric, v = answer, v/1000
		case "pages/reset":
			k.Metric = "pages_count"
		default:
			continue
		}
		f.Add(k, v)
	}
	return nil
}

// overNeverReset is what a reset instance costs, over one that is never reset: geometric means of all guests but the tiny
// one, of which everything is the cost of a call.
func overNeverReset(f *record.File) (cpu, waits float64) {
	mean := func(m record.Metric) float64 {
		sum, n := 0.0, 0.0
		for _, s := range f.Series {
			never := f.Find(record.Key{Bench: name, Work: s.Work, Subject: record.NeverReset, Metric: m})
			if s.Bench == name && s.Metric == m && s.Subject == "reset" && s.Work != "tiny" && never != nil {
				sum, n = sum+math.Log(record.Median(s.Samples)/record.Median(never.Samples)), n+1
			}
		}
		return math.Exp(sum / max(n, 1))
	}
	return mean(record.CPU), mean(answer)
}
