package change

import (
	"maps"
	"strconv"
	"strings"
)

func (s *state) expose(rest string) error {
	words, err := s.words(rest)
	if err != nil {
		return err
	}
	ports := maps.Clone(s.ExposedPorts)
	if ports == nil {
		ports = map[string]struct{}{}
	}
	for _, w := range words {
		rng, proto, ok := strings.Cut(w, "/")
		if !ok {
			proto = "tcp"
		}
		proto = strings.ToLower(proto)
		first, last, ok := strings.Cut(rng, "-")
		if !ok {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		switch {
		case err1 != nil || err2 != nil || to < from:
			return invalid("invalid containerPort: %s", rng)
		case proto != "tcp" && proto != "udp" && proto != "sctp":
			return invalid("invalid proto: %s", proto)
		}
		for p := from; p <= to; p++ {
			ports[strconv.FormatUint(p, 10)+"/"+proto] = struct{}{}
		}
	}
	s.ExposedPorts = ports
	return nil
}
