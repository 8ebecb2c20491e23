//go:build integration

package reach

import (
	"slices"
	"strings"
	"testing"
)

// TestOtherNetworks: whatever a container sends, no endpoint of another network hears or answers it, and no gateway of
// another network answers.
func TestOtherNetworks(t *testing.T) {
	t.Parallel()
	ours := network(t, "--ipv6", "--subnet", "fd00:77:1::/64", "--gateway", "fd00:77:1::1")
	theirs := network(t, "--ipv6", "--subnet", "fd00:77:2::/64", "--gateway", "fd00:77:2::1")
	sealed := network(t, "--internal")
	attacker, companion := join(t, ours), join(t, ours)
	victim, hidden := join(t, theirs), join(t, sealed)
	via := []string{attacker.gatewayMAC(t), companion.mac}

	// Where it may arrive, the same attack arrives and is answered.
	const allowed, forbidden = "arca-probe-allowed", "arca-probe-forbidden"
	heard := companion.listen(t, allowed)
	outside := victim.listen(t, allowed)
	answers := attacker.attack(t, allowed, companion.mac, nil, []string{companion.address4, companion.address6})
	kinds := heard()
	for _, kind := range []string{"ipv4-icmp", "ipv4-tcp", "ipv4-udp", "ipv4-other", "ipv6-icmp", "ipv6-tcp", "ipv6-udp", "ipv6-other"} {
		if kinds[kind] == "" {
			t.Errorf("the companion heard no %s, but %v", kind, kinds)
		}
	}
	for _, kind := range []string{"arp", "ipv4-icmp", "ipv4-tcp", "ipv6-icmp", "ipv6-tcp"} {
		if !slices.ContainsFunc(answers, func(a string) bool { return strings.HasPrefix(a, "from-"+companion.mac+"-"+kind+" ") }) {
			t.Errorf("the companion answered no %s, but %v", kind, answers)
		}
	}
	if kinds := outside(); len(kinds) > 0 {
		t.Errorf("another network heard what was said in this one: %v", kinds)
	}

	for _, target := range []endpoint{victim, hidden} {
		heard := target.listen(t, forbidden)
		addresses := []string{target.address4}
		if !arca.Peer() { // Docker's gateways are addresses of one host, which answers for all of them and forwards IPv6
			addresses = append(addresses, target.address6, target.gateway4, target.gateway6)
		}
		if answers := attacker.attack(t, forbidden, target.mac, via, addresses); len(answers) > 0 {
			t.Errorf("%+v answers: %v", target, answers)
		}
		if kinds := heard(); len(kinds) > 0 {
			t.Errorf("%+v heard %v", target, kinds)
		}
	}
}

// TestInternalNetwork: from an internal network nothing outside is reached: no other network, no gateway of one, no host.
func TestInternalNetwork(t *testing.T) {
	t.Parallel()
	sealed := network(t, "--internal")
	open := network(t)
	inside, neighbour, outside := join(t, sealed), join(t, sealed), join(t, open)
	inside.exec(t, "ping", "-c", "1", "-W", "5", neighbour.address4).OK()
	addresses := []string{outside.address4, "192.0.2.1"}
	if !arca.Peer() {
		addresses = append(addresses, outside.gateway4)
	}
	for _, address := range addresses {
		if r := inside.exec(t, "ping", "-c", "1", "-W", "2", address); r.Code == 0 {
			t.Errorf("%s answers: %s", address, r.Stdout)
		}
	}
}
