package ovn

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/arca-engine/arca/helpervm/plan"
)

// matches are the expressions of a rule, one a family at least.
//
// Rules are stateless, but a rule that allows connections would be of no use without their answers: what it allows is
// also allowed the other way round, for TCP only with ACK set, so that no connection can be opened that way.
func matches(r plan.Rule) []string {
	var list []string
	v4, v6 := r.Families()
	for _, f := range []struct {
		wanted, is4 bool
		name        string
	}{{v4, true, "ip4"}, {v6, false, "ip6"}} {
		if !f.wanted {
			continue
		}
		from, to := plan.Of(r.Sources, f.is4), plan.Of(r.Destinations, f.is4)
		for _, protocol := range protocols(r) {
			there := append([]string{f.name}, ends(f.name, from, to)...)
			back := append([]string{f.name}, ends(f.name, to, from)...)
			switch protocol {
			case "":
			case "icmp":
				there, back = append(there, icmp(f.is4)), append(back, icmp(f.is4))
			default:
				there, back = append(there, ports(r, protocol, "dst")), append(back, ports(r, protocol, "src"))
			}
			if protocol == "tcp" {
				back = append(back, "tcp.flags == 0x10/0x10")
			}
			list = append(list, strings.Join(there, " && "))
			if r.Allow && strings.Join(there, "") != strings.Join(back, "") {
				list = append(list, strings.Join(back, " && "))
			}
		}
	}
	return list
}

// protocols of a rule: one that names ports without a protocol is about both that have them.
func protocols(r plan.Rule) []string {
	if r.Protocol == "" && r.PortFirst != 0 {
		return []string{"tcp", "udp"}
	}
	return []string{r.Protocol}
}

func icmp(is4 bool) string {
	if is4 {
		return "icmp4"
	}
	return "icmp6"
}

func ends(family string, from, to []netip.Prefix) []string {
	var parts []string
	for _, e := range []struct {
		field string
		list  []netip.Prefix
	}{{"src", from}, {"dst", to}} {
		if len(e.list) == 0 {
			continue
		}
		texts := make([]string, 0, len(e.list))
		for _, p := range e.list {
			texts = append(texts, p.String())
		}
		parts = append(parts, fmt.Sprintf("%s.%s == {%s}", family, e.field, strings.Join(texts, ", ")))
	}
	return parts
}

// ports of a rule, at one end.
func ports(r plan.Rule, protocol, end string) string {
	switch r.PortFirst {
	case 0:
		return protocol
	case r.PortLast:
		return fmt.Sprintf("%s.%s == %d", protocol, end, r.PortFirst)
	default:
		return fmt.Sprintf("%d <= %s.%s <= %d", r.PortFirst, protocol, end, r.PortLast)
	}
}
