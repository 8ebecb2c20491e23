package view

import (
	"fmt"
	"strconv"
	"strings"
)

type portKey struct {
	number uint16
	proto  string
}

type portSet map[portKey]bool

// add parses "80", "80/udp" or "80-90/tcp".
func (s portSet) add(key, value string) error {
	if strings.Contains(value, ":") {
		return refused(fmt.Sprintf("filter for '%s' should not contain ':': %s", key, value))
	}
	bad := func(err any) error {
		return refused(fmt.Sprintf("error while looking up for %s %s: %v", key, value, err))
	}
	numbers, proto, _ := strings.Cut(value, "/")
	if proto == "" {
		proto = "tcp"
	}
	if numbers == "" {
		return bad("empty string specified for ports")
	}
	lo, hi, isRange := strings.Cut(numbers, "-")
	if !isRange {
		hi = lo
	}
	first, err := strconv.ParseUint(lo, 10, 16)
	if err != nil {
		return bad(err)
	}
	last, err := strconv.ParseUint(hi, 10, 16)
	if err != nil {
		return bad(err)
	}
	if last < first {
		return bad("invalid range specified for port: " + numbers)
	}
	for n := first; n <= last; n++ {
		s[portKey{uint16(n), strings.ToLower(proto)}] = true
	}
	return nil
}
