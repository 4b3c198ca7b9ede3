package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progressEvery is how often a line of progress is drawn again; more often flickers on slow links.
const progressEvery = 100 * time.Millisecond

// progress is one line on a terminal that says what is being waited for and for how long. In a pipe it is
// silent. Its methods may be called from any goroutine.
type progress struct {
	w     io.Writer
	width int
	start time.Time
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex // guards text
	text string
}

// progress starts a line; done ends it. It answers nil, which is silent, when stderr is no terminal or the output
// is JSON.
func (c *cli) progress(format string, args ...any) *progress {
	width, ok := terminal(c.err)
	if !ok || c.format == formatJSON {
		return nil
	}
	p := &progress{w: c.err, width: width, start: time.Now(), stop: make(chan struct{}), text: fmt.Sprintf(format, args...)}
	p.ended.Go(p.draw)
	return p
}

// set changes what the line says.
func (p *progress) set(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.text = fmt.Sprintf(format, args...)
	p.mu.Unlock()
}

// done wipes the line.
func (p *progress) done() {
	if p == nil {
		return
	}
	close(p.stop)
	p.ended.Wait()
}

func (p *progress) draw() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for drawn := false; ; drawn = true {
		select {
		case <-p.stop:
			if drawn {
				fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width-1))
			}
			return
		case <-tick.C:
			p.mu.Lock()
			line := fmt.Sprintf("%s  %.1f s", p.text, time.Since(p.start).Seconds())
			p.mu.Unlock()
			fmt.Fprintf(p.w, "\r%-*s", p.width-1, cut(line, p.width-1))
		}
	}
}

// cut shortens s to width characters.
func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width])
	}
	return s
}
