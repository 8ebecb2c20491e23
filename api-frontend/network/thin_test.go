package network

import (
	"testing"

	"github.com/moby/moby/api/types/network"
)

func TestTwoContainersOfANetwork(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	n := create(t, s, network.CreateRequest{Name: "front"})
	if got := n.Pools[0].Subnet.String() + " " + n.Pools[0].Gateway.String(); got != "172.18.0.0/16 172.18.0.1" {
		t.Errorf("subnet and gateway: %s", got)
	}
	a := start(t, s, w.add("a", "front", nil))
	b := start(t, s, w.add("b", "front", nil))
	if got := a.Endpoints[0].IPv4.String() + " " + b.Endpoints[0].IPv4.String(); got != "172.18.0.2/16 172.18.0.3/16" {
		t.Errorf("addresses: %s", got)
	}
	if !a.Resolver || a.NoForward || len(a.Upstreams) != 1 || !a.Endpoints[0].Default4 || a.Endpoints[0].Interface != "eth0" {
		t.Errorf("%+v", a)
	}
	if w.names[a.ContainerID] == nil {
		t.Error("a was not told of b")
	}
	if err := s.Leave(t.Context(), a.ContainerID); err != nil {
		t.Fatal(err)
	}
	if s.Membership(a.ContainerID) != nil || len(w.granted) != 1 {
		t.Errorf("a is still there: %v", w.granted)
	}
	if c := start(t, s, w.add("c", "front", nil)); c.Endpoints[0].IPv4.String() != "172.18.0.2/16" {
		t.Errorf("the lowest free address is the next: %v", c.Endpoints[0].IPv4)
	}
}
