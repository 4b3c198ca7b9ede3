package admin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// guard refuses, on loopback, what a web page may have sent: there a request without a token is an admin's, and a
// browser on the same machine carries out requests for any site. A page's address resolved to loopback (DNS
// rebinding) shows in Host, a page elsewhere in Origin or Sec-Fetch-Site.
func guard(r *http.Request) error {
	if !loopbackHost(r.Host) {
		return abi.WithCode(abi.Forbidden, fmt.Errorf("host %.80q: not an address of this machine's loopback", r.Host))
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, r.Host) {
			return abi.WithCode(abi.Forbidden, fmt.Errorf("origin %.80q: other sites may not use the admin API", origin))
		}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return abi.WithCode(abi.Forbidden, errors.New("sent by a page of another site, which may not use the admin API"))
		}
	}
	return nil
}

// loopbackHost reports whether a Host header names this machine: localhost or a loopback address, any port.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	if strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// forwarded reports whether a proxy says that it passes on somebody else's request. Such a request is not from
// this machine even if it comes over loopback.
func forwarded(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}
