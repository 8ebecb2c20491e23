package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Prefix begins the names of the options.
const Prefix = "com.arca.policy."

const (
	maxRules = 256
	maxName  = 64
)

// Parse reads the rules among a network's options. subnets tells those of another network, or false.
func Parse(options map[string]string, subnets func(network string) ([]netip.Prefix, bool)) ([]desired.Rule, error) {
	var rules []desired.Rule
	for _, option := range slices.Sorted(maps.Keys(options)) {
		name, ok := strings.CutPrefix(option, Prefix)
		if !ok {
			continue
		}
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, invalid(option, "a rule's name has 1 to %d printable characters", maxName)
		}
		rule, err := parse(options[option], subnets)
		if err != nil {
			return nil, invalid(option, "%v", err)
		}
		rule.Name = name
		if rules = append(rules, rule); len(rules) > maxRules {
			return nil, invalid(option, "a network has at most %d rules", maxRules)
		}
	}
	return rules, nil
}

func invalid(option, format string, a ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid option %s: %s", option, fmt.Sprintf(format, a...)))
}

// words are what is left to read of a rule.
type words []string

func (w *words) next() string {
	if len(*w) == 0 {
		return ""
	}
	first := (*w)[0]
	*w = (*w)[1:]
	return first
}

// oneOf takes the next word if it is one of these.
func (w *words) oneOf(these ...string) string {
	if len(*w) > 0 && slices.Contains(these, (*w)[0]) {
		return w.next()
	}
	return ""
}

func parse(text string, subnets func(string) ([]netip.Prefix, bool)) (r desired.Rule, err error) {
	w := words(strings.Fields(text))
	switch verb := w.next(); verb {
	case "allow", "deny":
		r.Allow = verb == "allow"
	default:
		return r, fmt.Errorf("a rule begins with allow or deny, not with %q", verb)
	}
	r.Direction = w.oneOf("between", "in", "out")
	r.Protocol = w.oneOf("tcp", "udp", "icmp")
	if w.oneOf("from") != "" {
		if r.Sources, err = w.peer(subnets); err != nil {
			return r, err
		}
	}
	if w.oneOf("to") != "" {
		if r.Destinations, err = w.peer(subnets); err != nil {
			return r, err
		}
	}
	if w.oneOf("port") != "" {
		if r.Protocol != "tcp" && r.Protocol != "udp" {
			return r, fmt.Errorf("a port needs tcp or udp before it")
		}
		if r.PortFirst, r.PortLast, err = ports(w.next()); err != nil {
			return r, err
		}
	}
	if len(w) > 0 {
		return r, fmt.Errorf("%q is not understood here", w[0])
	}
	return r, nil
}

// peer reads a place: none for any.
func (w *words) peer(subnets func(string) ([]netip.Prefix, bool)) ([]netip.Prefix, error) {
	switch word := w.next(); word {
	case "any":
		return nil, nil
	case "":
		return nil, fmt.Errorf("an address, a CIDR, any, or a network is missing")
	case "network":
		name := w.next()
		found, ok := subnets(name)
		if !ok {
			return nil, fmt.Errorf("network %s not found", name)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("network %s has no subnet", name)
		}
		return found, nil
	default:
		if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" {
			return []netip.Prefix{netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())}, nil
		}
		p, err := netip.ParsePrefix(word)
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is no address and no CIDR", word)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("%s should be %s", p, p.Masked())
		}
		return []netip.Prefix{p}, nil
	}
}

func ports(text string) (first, last uint16, err error) {
	lo, hi, isRange := strings.Cut(text, "-")
	if !isRange {
		hi = lo
	}
	a, errA := strconv.ParseUint(lo, 10, 16)
	b, errB := strconv.ParseUint(hi, 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("%q is no port and no range of ports", text)
	}
	return uint16(a), uint16(b), nil
}
