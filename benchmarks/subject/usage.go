package subject

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CPU answers the processor time that a process has used, which Linux tells in hundredths of a second.
func CPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("read CPU time: too few fields")
	}
	sum := 0
	for _, field := range f[11:13] { // utime and stime, from the state on
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += ticks
	}
	return time.Duration(sum) * 10 * time.Millisecond, nil
}

// ResidentKiB answers the memory of a process that is in RAM.
func ResidentKiB(pid int) (int, error) { return statusKiB(pid, "VmRSS") }

// OwnKiB answers the memory of a process that is in RAM, without pages of files, which the system may take back.
func OwnKiB(pid int) (int, error) { return statusKiB(pid, "RssAnon", "RssShmem") }

// statusKiB adds up fields of what Linux says of a process.
func statusKiB(pid int, fields ...string) (sum int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !slices.Contains(fields, name) || len(f) != 2 {
			continue
		}
		n, err := strconv.Atoi(f[0])
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		sum, found = sum+n, found+1
	}
	if found < len(fields) {
		return 0, fmt.Errorf("read memory: no %s", strings.Join(fields, " or "))
	}
	return sum, nil
}

// CPUOfTree is the processor time that a process and those below it have used.
func CPUOfTree(pid int) (sum time.Duration, err error) {
	for _, p := range tree(pid) {
		used, err := CPU(p)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// tree is a process and those that it and they have started, as Linux lists them by thread.
func tree(pid int) []int {
	all := []int{pid}
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return all
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, tree(child)...)
			}
		}
	}
	return all
}
