package server

import (
	"strconv"
	"strings"
)

// The API versions that the server speaks.
const (
	MinAPIVersion = "1.24"
	MaxAPIVersion = "1.51"
)

// splitVersion cuts "/v1.51" off a path. A path whose first segment is not "v" and digits and dots is unversioned.
func splitVersion(path string) (version, rest string) {
	tail, ok := strings.CutPrefix(path, "/v")
	if !ok {
		return "", path
	}
	n := 0
	for n < len(tail) && (tail[n] == '.' || '0' <= tail[n] && tail[n] <= '9') {
		n++
	}
	if n == 0 || n == len(tail) || tail[n] != '/' {
		return "", path
	}
	return tail[:n], tail[n:]
}

// negotiate returns the version to serve a request in, or Docker's refusal.
func negotiate(asked string) (string, error) {
	switch {
	case asked == "":
		return MaxAPIVersion, nil
	case versionLess(asked, MinAPIVersion):
		return "", invalid("client version %s is too old. Minimum supported API version is %s, "+
			"please upgrade your client to a newer version", asked, MinAPIVersion)
	case versionLess(MaxAPIVersion, asked):
		return "", invalid("client version %s is too new. Maximum supported API version is %s", asked, MaxAPIVersion)
	}
	return asked, nil
}

// versionLess compares dotted numbers; what is not a number counts as zero.
func versionLess(a, b string) bool {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, n := number(x), number(y)
		if m != n {
			return m < n
		}
	}
	return false
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil && n == 0 {
		return 0
	}
	return n
}

// routeTooNew is the refusal of a route that the negotiated version does not have yet.
func routeTooNew(route *Route) error {
	return invalid("%s %s requires minimum API version %s", route.Method, route.Path, route.MinVersion)
}
