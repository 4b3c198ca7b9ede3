package record

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is where was measured.
type Machine struct {
	System    string `json:"system"` // as in linux/amd64
	Kernel    string `json:"kernel"`
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Go        string `json:"go"`
	Load      string `json:"load"` // averages when it began, of 1, 5 and 15 minutes
}

// thisMachine says what it can find out.
func thisMachine() Machine {
	return Machine{
		System: runtime.GOOS + "/" + runtime.GOARCH, Kernel: firstLine("/proc/sys/kernel/osrelease"), Processor: processor(),
		Cores: runtime.NumCPU(), Go: runtime.Version(), Load: load(),
	}
}

// String is one line.
func (m Machine) String() string {
	return fmt.Sprintf("%d x %s, %s %s, %s; load %s", m.Cores, m.Processor, m.System, m.Kernel, m.Go, m.Load)
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func load() string {
	f := strings.Fields(firstLine("/proc/loadavg"))
	if len(f) < 3 {
		return "unknown"
	}
	return strings.Join(f[:3], " ")
}

func firstLine(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
