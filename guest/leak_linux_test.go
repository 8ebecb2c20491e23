package main

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// held tells what the agent holds: descriptors, pinned namespaces, and the namespaces that its threads are in.
func (s *sandbox) held() (descriptors []string, pins int, spaces []string) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d", s.cmd.Process.Pid)
	list := func(dir string) []os.DirEntry {
		entries, err := os.ReadDir(dir)
		if err != nil {
			s.t.Fatal(err)
		}
		return entries
	}
	for _, e := range list(proc + "/task") {
		link, err := os.Readlink(proc + "/task/" + e.Name() + "/ns/net")
		if err == nil && !slices.Contains(spaces, link) {
			spaces = append(spaces, link)
		}
	}
	for _, e := range list(proc + "/fd") {
		if link, err := os.Readlink(proc + "/fd/" + e.Name()); err == nil {
			descriptors = append(descriptors, link)
		}
	}
	return descriptors, len(list(proc + "/root/run/netns")), spaces
}

// TestNetworksLeaveNothing starts and ends many containers with interfaces and resolvers in one sandbox.
func TestNetworksLeaveNothing(t *testing.T) {
	const containers = 50
	ids := make([]string, containers)
	for i := range ids {
		ids[i] = randomID()
	}
	s := start(t, attachments(t, busybox(t), ids...)...)
	out := outside(t)
	run := func(i int) {
		req := request(t, ids[i], "sleep", "1000")
		req.NetworkConfig = &guestv1.NetworkConfig{Resolver: &guestv1.Resolver{Upstreams: []string{"192.0.2.1:53"}}}
		req.Names = frontNames()
		linked := i%10 == 0
		if linked {
			s.link("endpoint1", out, "10.9.0.1/24")
			req.NetworkConfig.Interfaces = frontNetwork().Interfaces
		}
		s.launch(req)
		if got := addresses(ask(t, s.pidns(ids[i]), "tcp", "web.front.", dns.TypeA)); len(got) != 1 {
			t.Fatalf("container %d: the resolver says %q", i, got)
		}
		s.end(ids[i])
		if _, err := s.agent.Unmount(t.Context(), &guestv1.UnmountRequest{ContainerId: ids[i]}); err != nil {
			t.Fatal(err)
		}
		if linked {
			inside(t, out, func() error { // It is gone already where it went with its namespace.
				if l, err := netlink.LinkByName("endpoint1"); err == nil {
					_ = netlink.LinkDel(l)
				}
				return nil
			})
		}
	}
	run(0)
	run(1)
	before, _, _ := s.held()
	for i := 2; i < containers; i++ {
		run(i)
	}
	var descriptors, spaces []string
	var pins int
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) { // Until the last streams have ended.
		if descriptors, pins, spaces = s.held(); len(descriptors) <= len(before) && len(spaces) == 1 {
			break
		}
	}
	if len(descriptors) > len(before) || pins != 0 || len(spaces) != 1 {
		t.Errorf("descriptors %q (%q before), %d pins, threads in %q", descriptors, before, pins, spaces)
	}
	inside(t, s.netns(), func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTables()
		if len(tables) != 0 {
			t.Errorf("%d tables of nftables are left in the sandbox", len(tables))
		}
		return err
	})
}
