package registry

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of asynchronous invocations, as Lambda has them.
const (
	MaxRetries       = 2
	MinMaxAgeSeconds = 60
	MaxMaxAgeSeconds = 21_600 // 6 hours; the default
)

// Limits of Settings.Egress.
const (
	MaxEgress      = 100
	maxEgressBytes = 260 // a host name, which is 253 at most, and a port
)

// Async says what becomes of a function's asynchronous invocations.
type Async struct {
	Retries       *int   `json:"retries,omitempty"`         // after the first attempt, 0 to 2; nil: 2
	MaxAgeSeconds int    `json:"max_age_seconds,omitempty"` // 60 to 21,600; 0: 21,600
	OnSuccess     string `json:"on_success,omitempty"`      // destination: queue:NAME, topic:NAME or function:NAME
	OnFailure     string `json:"on_failure,omitempty"`
}

// Kinds of destination.
const (
	DestinationQueue    = "queue"
	DestinationTopic    = "topic"
	DestinationFunction = "function"
)

// ParseDestination reads queue:NAME, topic:NAME or function:NAME. An error is coded abi.InvalidInput.
func ParseDestination(s string) (kind, name string, err error) {
	kind, name, _ = strings.Cut(s, ":")
	switch kind {
	case DestinationQueue:
		err = CheckQueueName(name)
	case DestinationTopic:
		err = CheckTopicName(name)
	case DestinationFunction:
		err = CheckName(kind, name)
	default:
		err = fmt.Errorf("destination %.80q: it is %s:NAME, %s:NAME or %s:NAME", s, DestinationQueue, DestinationTopic, DestinationFunction)
	}
	return kind, name, abi.WithCode(abi.InvalidInput, err)
}

// complete answers a with its defaults filled in; nil when that is all it says.
func (a *Async) complete() *Async {
	if a == nil {
		return nil
	}
	c, retries := *a, MaxRetries
	if a.Retries != nil {
		retries = *a.Retries
	}
	c.Retries = &retries
	if c.MaxAgeSeconds == 0 {
		c.MaxAgeSeconds = MaxMaxAgeSeconds
	}
	if retries == MaxRetries && c.MaxAgeSeconds == MaxMaxAgeSeconds && c.OnSuccess == "" && c.OnFailure == "" {
		return nil
	}
	return &c
}

// validateAsync names every fault of what becomes of asynchronous invocations.
func (s Settings) validateAsync() []error {
	a := s.Async.complete()
	if a == nil {
		return nil
	}
	var faults faults
	if *a.Retries < 0 || *a.Retries > MaxRetries {
		faults.add("async: %d retries; 0 to %d are allowed", *a.Retries, MaxRetries)
	}
	if a.MaxAgeSeconds < MinMaxAgeSeconds || a.MaxAgeSeconds > MaxMaxAgeSeconds {
		faults.add("async: age of %d s; it is between %d and %d", a.MaxAgeSeconds, MinMaxAgeSeconds, MaxMaxAgeSeconds)
	}
	for _, destination := range []string{a.OnSuccess, a.OnFailure} {
		if destination == "" {
			continue
		}
		if _, _, err := ParseDestination(destination); err != nil {
			faults.add("async: %w", err)
		}
	}
	return faults
}

// validateEgress names every host that is none.
func (s Settings) validateEgress() []error {
	var faults faults
	if len(s.Egress) > MaxEgress {
		faults.add("egress: %d hosts; at most %d are allowed", len(s.Egress), MaxEgress)
		return faults
	}
	for _, host := range s.Egress {
		if err := CheckEgress(host); err != nil {
			faults.add("%w", err)
		}
	}
	return faults
}

// CheckEgress refuses what is no host that a function may be allowed to call: api.example.com, *.example.com, an
// address or a network (10.1.2.3, 10.0.0.0/8, [fd00::1]), in lower case; :PORT may follow all but a network. An
// error is coded abi.InvalidInput.
func CheckEgress(s string) error {
	if len(s) <= maxEgressBytes {
		if _, err := netip.ParsePrefix(s); err == nil {
			return nil
		}
		if host, ok := cutPort(s); ok && (isAddress(host) || isHost(strings.TrimPrefix(host, "*."))) {
			return nil
		}
	}
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("egress %.80q: it is a host such as api.example.com, *.example.com or api.example.com:8443, "+
		"without a scheme or a path, in lower case", s))
}

// cutPort takes a port off, if there is one, and the brackets of an IPv6 address.
func cutPort(s string) (host string, ok bool) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, true
	}
	host, port, found := s, "", false
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port, found = s[:i], s[i+1:], true
	}
	if n, err := strconv.ParseUint(port, 10, 16); found && (err != nil || n == 0 || strconv.FormatUint(n, 10) != port) {
		return "", false
	}
	if inner, v6 := strings.CutPrefix(host, "["); v6 {
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return inner, closed && err == nil && a.Is6()
	}
	return host, true
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isHost reports whether s is a host's name: labels of a-z, 0-9, - and _, the last one not of digits alone.
func isHost(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > MaxNameBytes || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, c := range []byte(l) {
			if !isAlphanumeric(c) && c != '-' && c != '_' || c >= 'A' && c <= 'Z' {
				return false
			}
		}
	}
	return len(s) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
