package network

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// lookup answers from a table, as an agent does.
func lookup(t *guestv1.NameTable, name string) string {
	for _, n := range t.GetNames() {
		if n.GetName() == name {
			return strings.Join(n.GetAddresses(), " ")
		}
	}
	return "-"
}

func pointer(t *guestv1.NameTable, address string) string {
	for _, p := range t.GetPointers() {
		if p.GetAddress() == address {
			return p.GetName()
		}
	}
	return "-"
}

func TestNames(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "Front", IPAM: config("10.1.0.0/16")})
	create(t, s, network.CreateRequest{Name: "back", EnableIPv6: yes(), IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: cidr("10.2.0.0/16")}, {Subnet: cidr("fd02::/64")}}}})
	web := w.add("web", "Front", settings{"Front": {Aliases: []string{"site", "WWW"}}})
	both := w.add("both", "Front", settings{"Front": {Links: []string{"web:server", "db"}}, "back": {Aliases: []string{"db"}, Links: []string{"/db:store"}}})
	db := w.add("db", "back", nil)
	db2 := w.add("db2", "back", settings{"back": {Aliases: []string{"db"}}})
	plain := w.add("plain", "bridge", nil)
	start(t, s, web)  // 10.1.0.2
	start(t, s, both) // 10.1.0.3, 10.2.0.2, fd02::2
	start(t, s, db)   // 10.2.0.3, fd02::3
	start(t, s, db2)  // 10.2.0.4, fd02::4
	start(t, s, plain)
	of := s.Names(both.ID)
	for name, want := range map[string]string{
		"web": "10.1.0.2", "site": "10.1.0.2", "www": "10.1.0.2", "www.front": "10.1.0.2", "h-web": "10.1.0.2", web.ShortID(): "10.1.0.2",
		"web.back": "-", "WWW": "-", "plain": "-",
		"both.front": "10.1.0.3", "both.back": "10.2.0.2 fd02::2",
		"server": "10.1.0.2", "server.front": "10.1.0.2",
		"store": lookup(of, "db"), "db2": "10.2.0.4 fd02::4",
		"host.docker.internal": "192.168.127.254",
	} {
		if got := lookup(of, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// Several containers with one name, and both itself by an alias.
	got := strings.Fields(lookup(of, "db"))
	slices.Sort(got)
	if strings.Join(got, " ") != "10.2.0.2 10.2.0.3 10.2.0.4 fd02::2 fd02::3 fd02::4" {
		t.Errorf("db: %v", got)
	}
	// A name of two networks is the one of that which has the default route: here the one of both families.
	if got := lookup(of, "both"); got != "10.2.0.2 fd02::2" {
		t.Errorf("both: %s", got)
	}
	if got := pointer(of, "10.1.0.2") + " " + pointer(of, "fd02::3") + " " + pointer(of, "172.17.0.2"); got != "web.Front db.back -" {
		t.Error(got)
	}
	if lookup(s.Names(web.ID), "db") != "-" || s.Names(plain.ID) != nil || s.Names("nobody") != nil {
		t.Error("a container sees what is not its own")
	}
	rec := *web
	rec.Name = "shop"
	w.records[web.ID] = &rec
	if err := s.Renamed(t.Context(), &rec); err != nil {
		t.Fatal(err)
	}
	of = s.Names(both.ID)
	if lookup(of, "shop") != "10.1.0.2" || lookup(of, "web") != "-" || pointer(of, "10.1.0.2") != "shop.Front" || lookup(of, "site") != "10.1.0.2" {
		t.Errorf("%v", of)
	}
}

func TestInternalNetworksKnowNoHost(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "cellar", Internal: true})
	a := start(t, s, w.add("a", "cellar", nil))
	if got := s.Names(a.ContainerID); lookup(got, hostName) != "-" || lookup(got, "a") == "-" || !a.NoForward || len(a.Upstreams) != 0 {
		t.Errorf("%v, %+v", got, a)
	}
}

// A neighbour knows a new container when its start goes on; one that is not listening yet is told as soon as it does, and
// delays nobody for long.
func TestNamesAreToldInTime(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	a := start(t, s, w.add("a", "front", nil))
	b := start(t, s, w.add("b", "front", nil))
	w.mu.Lock()
	if lookup(w.names[a.ContainerID], "b") == "-" {
		t.Error("a does not know b when b's start goes on")
	}
	w.deaf[b.ContainerID] = true
	w.mu.Unlock()
	began := time.Now()
	start(t, s, w.add("c", "front", nil))
	if took := time.Since(began); took > hearingTime/2 {
		t.Errorf("a start waited %v for a container that takes no names", took)
	}
	w.mu.Lock()
	if lookup(w.names[a.ContainerID], "c") == "-" || lookup(w.names[b.ContainerID], "c") != "-" {
		t.Error("a does not know c, or b does")
	}
	w.deaf[b.ContainerID] = false
	w.mu.Unlock()
	deadline := time.Now().Add(10 * time.Second)
	for known := false; !known; {
		w.mu.Lock()
		known = lookup(w.names[b.ContainerID], "c") != "-"
		w.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("b is never told of c")
		}
		time.Sleep(time.Millisecond)
	}
	if err := s.Leave(t.Context(), a.ContainerID); err != nil {
		t.Fatal(err)
	}
	if err := wait(t.Context(), s.herald.heard(b.ContainerID)); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if lookup(w.names[b.ContainerID], "a") != "-" {
		t.Error("b still knows a")
	}
}

func TestClosedServicesTellNobody(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	a := start(t, s, w.add("a", "front", nil))
	w.mu.Lock()
	w.deaf[a.ContainerID] = true
	w.mu.Unlock()
	start(t, s, w.add("b", "front", nil)) // a is tried again and again now.
	s.Close()
	s.herald.announce(a.ContainerID)
	if s.herald.ctx.Err() == nil {
		t.Error("it goes on")
	}
}
