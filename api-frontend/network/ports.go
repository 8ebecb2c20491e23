package network

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// binding is one line of -p, in order.
type binding struct {
	protocol    network.IPProtocol
	port        uint16
	host        netip.Addr // invalid: the network's.
	first, last uint16     // 0: any.
}

// bindings are the ports that a container publishes: exact ones first, then by port, protocol, host port and address, as
// dockerd has them.
func bindings(rec *record.Container) ([]binding, error) {
	var out []binding
	for port, given := range rec.HostConfig.PortBindings {
		if len(given) == 0 {
			given = []network.PortBinding{{}}
		}
		for _, g := range given {
			b := binding{protocol: port.Proto(), port: port.Num(), host: g.HostIP.Unmap()}
			var err error
			if b.first, b.last, err = hostPorts(g.HostPort); err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	if rec.HostConfig.PublishAllPorts {
		for port := range rec.Config.ExposedPorts {
			if len(rec.HostConfig.PortBindings[port]) == 0 {
				out = append(out, binding{protocol: port.Proto(), port: port.Num()})
			}
		}
	}
	for _, b := range out {
		if b.protocol != network.TCP && b.protocol != network.UDP {
			return nil, invalid("cannot publish port %d/%s: only tcp and udp ports can be published", b.port, b.protocol)
		}
	}
	slices.SortFunc(out, func(a, b binding) int {
		return cmp.Or(
			compareBool(a.first == 0 || a.first != a.last, b.first == 0 || b.first != b.last),
			cmp.Compare(a.port, b.port), strings.Compare(string(a.protocol), string(b.protocol)),
			cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last), a.host.Compare(b.host),
		)
	})
	return slices.Compact(out), nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func hostPorts(text string) (first, last uint16, err error) {
	if text == "" {
		return 0, 0, nil
	}
	lo, hi, isRange := strings.Cut(text, "-")
	if !isRange {
		hi = lo
	}
	a, errA := strconv.ParseUint(lo, 10, 16)
	b, errB := strconv.ParseUint(hi, 10, 16)
	if errA != nil || errB != nil || b < a {
		return 0, 0, invalid("invalid port specification: %q", text)
	}
	return uint16(a), uint16(b), nil
}

// ports are what an endpoint publishes. Bindings that differ in the host's address alone are one port: they get the same
// number. Those that were open keep theirs.
func (s *Service) ports(rec *record.Container, ep *desired.Endpoint, n *desired.Network, open []desired.Port) ([]desired.Port, error) {
	all, err := bindings(rec)
	if err != nil {
		return nil, err
	}
	var out []desired.Port
	var last binding
	for _, b := range all {
		hosts := s.hosts(b.host, n)
		same := len(out) > 0 && b.port == last.port && b.protocol == last.protocol && b.first == last.first && b.last == last.last
		last = b
		if same {
			p := &out[len(out)-1]
			for _, a := range hosts {
				if !slices.Contains(p.HostIPs, a) {
					p.HostIPs = append(p.HostIPs, a)
				}
			}
			continue
		}
		out = append(out, desired.Port{
			ID: fmt.Sprintf("%s-%d", ep.ID[:32], len(out)), Protocol: string(b.protocol), ContainerPort: b.port, HostIPs: hosts, First: b.first, Last: b.last,
		})
	}
	for i := range out {
		was := slices.IndexFunc(open, func(p desired.Port) bool {
			return p.Protocol == out[i].Protocol && p.ContainerPort == out[i].ContainerPort && p.First == out[i].First && p.Last == out[i].Last
		})
		if was >= 0 {
			out[i].HostPort = open[was].HostPort
		}
	}
	return out, nil
}

// wide tells whether the number was left to the engine.
func wide(p desired.Port) bool { return p.First == 0 || p.First != p.Last }

// hosts are the addresses on which a port is opened.
func (s *Service) hosts(given netip.Addr, n *desired.Network) []netip.Addr {
	switch {
	case given.IsValid():
		return []netip.Addr{given}
	case len(n.Binding) > 0:
		return n.Binding
	case s.listensV6():
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return []netip.Addr{netip.IPv4Unspecified()}
}

// listensV6 tells whether the host has IPv6 at all.
func listensV6() bool {
	l, err := net.Listen("tcp6", "[::]:0") //nolint:noctx // It is closed at once.
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
