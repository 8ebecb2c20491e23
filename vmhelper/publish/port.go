package publish

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
)

// Protocol is that of a port, with its IP protocol number.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

func (p Protocol) String() string {
	if p == UDP {
		return "udp"
	}
	return "tcp"
}

// Port is what is published.
type Port struct {
	ID       string
	Endpoint string
	Protocol Protocol
	HostIPs  []netip.Addr
	First    uint16 // the first to try; 0: any free one of the ephemeral range.
	Last     uint16 // the last to try; 0: First alone.
	Host     uint16 // the one that was chosen.
	Inside   uint16 // of the endpoint.
	Rules    []Rule
}

// Rule says who may come: the first that matches decides, and without one everybody may.
type Rule struct {
	Source netip.Prefix
	Allow  bool
}

// allows tells whether a client may come.
func (p *Port) allows(client netip.Addr) bool {
	for _, r := range p.Rules {
		if r.Source.Contains(client) {
			return r.Allow
		}
	}
	return true
}

// same tells whether two descriptions ask for the same.
func (p *Port) same(o *Port) bool {
	return p.Endpoint == o.Endpoint && p.Protocol == o.Protocol && slices.Equal(p.HostIPs, o.HostIPs) && p.First == o.First &&
		p.Last == o.Last && p.Inside == o.Inside && slices.Equal(p.Rules, o.Rules)
}

// The range in which the host's free ports are looked for, as dockerd does.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// overlap tells whether two addresses cannot have the same port.
func overlap(a, b netip.Addr) bool {
	return a.Is4() == b.Is4() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

// takenError says that a port of the host belongs to somebody else.
func takenError(at netip.AddrPort) error {
	return fmt.Errorf("%s is published already: %w", at, errdefs.ErrAlreadyExists)
}
