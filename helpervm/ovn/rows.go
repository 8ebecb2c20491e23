package ovn

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/arca-engine/arca/helpervm/plan"
)

// Priorities of ACLs: the gateway, a network's rules in their order, the isolation of its endpoints.
const (
	gateway   = 31000
	firstRule = 30000
	isolation = 1000
)

// Actions of ACLs. No other one leaves conntrack alone.
const (
	allow = "allow-stateless"
	drop  = "drop"
)

// portRow is a logical port as it shall be.
type portRow struct {
	addresses, security string
	tag                 int
}

// aclRow is an ACL as it shall be.
type aclRow struct {
	priority      int
	match, action string
}

// switchRows is a logical switch as it shall be: ports by name, ACLs in order.
type switchRows struct {
	ports map[string]portRow
	acls  []aclRow
}

func (r switchRows) equal(o switchRows) bool {
	return maps.Equal(r.ports, o.ports) && slices.Equal(r.acls, o.acls)
}

// rowsOf makes the rows of a network.
func rowsOf(n plan.Network, endpoints []plan.Endpoint) switchRows {
	rows := switchRows{ports: make(map[string]portRow, len(endpoints)+1), acls: acls(n)}
	if g := n.Gateway; g != nil {
		var addrs []netip.Addr
		for _, a := range n.GatewayAddresses() {
			addrs = append(addrs, a.Addr())
		}
		// Everything outside speaks through the gateway: its addresses are not checked.
		rows.ports[string(g.EndpointID)] = portRow{addresses: address(g.MAC, addrs), security: g.MAC.String(), tag: g.OVSTag}
	}
	for _, e := range endpoints {
		p := portRow{addresses: address(e.MAC, e.Addresses), security: security(e, n.Subnets), tag: e.OVSTag}
		if e.AnySource {
			p.security = e.MAC.String()
		}
		rows.ports[string(e.ID)] = p
	}
	return rows
}

// address is "MAC IP IP ...", as OVN writes it.
func address(mac net.HardwareAddr, addrs []netip.Addr) string {
	parts := []string{mac.String()}
	for _, a := range addrs {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, " ")
}

// security is address with the length of the subnets: with it OVN also lets a subnet's broadcasts in.
func security(e plan.Endpoint, subnets []plan.Subnet) string {
	parts := []string{e.MAC.String()}
	for _, a := range e.Addresses {
		text := a.String()
		for _, s := range subnets {
			if a.Is4() && s.Prefix.Contains(a) {
				text = netip.PrefixFrom(a, s.Prefix.Bits()).String()
			}
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// acls are the rules between endpoints. They look at what goes to a port; the sender's MAC address, which port security
// has checked, tells whether it comes from the gateway. What is to or from the gateway passes first: OVN cannot compare a
// port for inequality.
func acls(n plan.Network) []aclRow {
	var list []aclRow
	for i, r := range n.Rules {
		if r.Direction != plan.Between && r.Direction != plan.Any {
			continue
		}
		action := drop
		if r.Allow {
			action = allow
		}
		for _, m := range matches(r) {
			list = append(list, aclRow{priority: firstRule - i, match: m, action: action})
		}
	}
	if n.Isolated {
		list = append(list, aclRow{priority: isolation, match: "1", action: drop})
	}
	if g := n.Gateway; g != nil && len(list) > 0 {
		list = append(list, aclRow{priority: gateway, match: fmt.Sprintf("eth.src == %s || outport == \"%s\"", g.MAC, g.EndpointID), action: allow})
	}
	return list
}
