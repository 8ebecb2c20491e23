package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/helpervm/ovn"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// daemons are the helper's children, PIDs by name.
func (h *helper) daemons() map[string]int {
	h.t.Helper()
	found := map[string]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range dirs {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // It has ended meanwhile.
		}
		end := strings.LastIndexByte(string(b), ')')
		fields := strings.Fields(string(b[end+1:]))
		if fields[1] != strconv.Itoa(h.cmd.Process.Pid) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err == nil {
			found[filepath.Base(exe)] = pid
		}
	}
	return found
}

// TestKilledDaemons: each daemon is killed while frames pass; they pass again within five seconds, a new endpoint too.
func TestKilledDaemons(t *testing.T) {
	one, two := newPlace(1, 1, "10.9.1.2"), newPlace(1, 2, "10.9.1.3")
	n := network(1)
	b := newBed(t, []*networkv1.Network{n}, one.endpoint(n.Id), two.endpoint(n.Id))
	b.passes(one.udp(two, 1, 1), from(one, two))
	for i, name := range []string{"ovsdb-server", "ovs-vswitchd", "ovn-northd", "ovn-controller"} {
		t.Run(name, func(t *testing.T) {
			b := &bed{helper: &helper{t: t, cmd: b.cmd, dir: b.dir, ns: b.ns, api: b.api}, ovs: &tap{t, b.ovs.f}}
			pid := b.daemons()[name]
			if pid == 0 {
				t.Fatalf("%s does not run: %v", name, b.daemons())
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			b.eventually(5*time.Second, func() error {
				if now := b.daemons()[name]; now == 0 || now == pid {
					return fmt.Errorf("%s was not restarted", name)
				}
				return nil
			})
			late := newPlace(1, 10+i, fmt.Sprintf("10.9.1.%d", 20+i))
			b.eventually(5*time.Second, func() error {
				_, err := b.api.ApplyEndpoints(t.Context(), &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{late.endpoint(n.Id)}})
				return err
			})
			b.passes(one.udp(two, 1, 1), from(one, two))
			b.passes(one.udp(late, 1, 1), from(one, late))
			b.ready(5 * time.Second)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			} else {
				t.Logf("healed after %v", took)
			}
			r, err := b.api.Health(t.Context(), &networkv1.HealthRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(r.Parts, func(p *networkv1.HealthResponse_Part) bool { return p.Name == name }); i < 0 || r.Parts[i].Restarts != 1 {
				t.Errorf("health does not tell of the restart: %v", r)
			}
		})
	}
	b.hasNoConntrack()
}

// TestLostDatabases: the databases' files go with their server; all is made anew from what the control knows.
func TestLostDatabases(t *testing.T) {
	one, two := newPlace(1, 1, "10.9.1.2"), newPlace(1, 2, "10.9.1.3")
	n := network(1)
	b := newBed(t, []*networkv1.Network{n}, one.endpoint(n.Id), two.endpoint(n.Id))
	b.passes(one.udp(two, 1, 1), from(one, two))
	for _, f := range []string{"conf.db", "ovnnb.db", "ovnsb.db"} {
		if err := os.Remove(filepath.Join(b.dir, "ovs", f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(b.daemons()["ovsdb-server"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(silence) // What passes before the daemons notice proves nothing.
	b.passes(one.udp(two, 1, 1), from(one, two))
	b.ready(5 * time.Second)
}

// footprint is what networks and endpoints leave in databases and in the kernel.
func (h *helper) footprint() map[string]int {
	h.t.Helper()
	count := map[string]int{
		"switches":  strings.Count(h.tool("ovn-nbctl", h.database(), "--bare", "--columns=name", "list", "Logical_Switch"), "\n"),
		"ports":     strings.Count(h.tool("ovn-nbctl", h.database(), "--bare", "--columns=_uuid", "list", "Logical_Switch_Port"), "-4"),
		"acls":      strings.Count(h.tool("ovn-nbctl", h.database(), "--bare", "--columns=action", "list", "ACL"), "o"),
		"bindings":  strings.Count(h.tool("ovn-sbctl", h.database(), "--bare", "--columns=tunnel_key", "list", "Port_Binding"), "\n"),
		"ovs ports": strings.Count(h.tool("ovs-vsctl", h.database(), "--bare", "--columns=name", "list", "Interface"), "\n"),
		"flows":     strings.Count(h.tool("ovs-ofctl", "-OOpenFlow15", "dump-flows", "br-int"), "\n"),
	}
	h.ns.do(func() {
		links, err := netlink.LinkList()
		if err != nil {
			h.t.Error(err)
		}
		count["links"] = len(links)
		var c nftables.Conn
		chains, err := c.ListChains()
		if err != nil {
			h.t.Error(err)
		}
		count["chains"] = len(chains)
		for _, name := range []string{"local", "out", "in"} {
			elements, err := c.GetSetElements(&nftables.Set{Table: &nftables.Table{Name: "arca", Family: nftables.TableFamilyINet}, Name: name, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeVerdict})
			if err != nil {
				h.t.Error(err)
			}
			count["elements"] += len(elements)
		}
	})
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.cmd.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	count["descriptors"] = len(fds)
	return count
}

// TestManyNetworks: two hundred networks with an endpoint and a gateway each come, each soon, and go without a trace.
func TestManyNetworks(t *testing.T) {
	count := 200
	if testing.Short() || raceEnabled { // The race detector makes all of it slow, and finds nothing more in more of the same.
		count = 30
	}
	b := newBed(t, nil)
	before := b.footprint()
	var networks []*networkv1.Network
	var took, endpointTook []time.Duration
	for i := range count {
		n := network(1, func(n *networkv1.Network) {
			n.Id = id64('b', i)
			n.Subnets = []*networkv1.Subnet{{Cidr: fmt.Sprintf("10.77.%d.0/24", i), Gateway: fmt.Sprintf("10.77.%d.1", i)}}
			n.Rules = []*networkv1.Rule{{Name: "x", Protocol: "tcp", PortFirst: 99}}
		})
		g := newPlace(100+i, 0, fmt.Sprintf("10.77.%d.1", i))
		n.Gateway = &networkv1.Gateway{Link: gatewayName(n), Mac: g.mac, OvsTag: uint32(2*i + 1), EndpointId: g.id}
		e := newPlace(100+i, 1, fmt.Sprintf("10.77.%d.2", i)).endpoint(n.Id)
		e.OvsTag = uint32(2*i + 2)
		b.ns.do(func() {
			if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: n.Gateway.Link}, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
				t.Error(err)
			}
		})
		begun := time.Now()
		if _, err := b.api.ApplyNetworks(t.Context(), &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{n}}); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begun))
		begun = time.Now()
		if _, err := b.api.ApplyEndpoints(t.Context(), &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{e}}); err != nil {
			t.Fatal(err)
		}
		endpointTook = append(endpointTook, time.Since(begun))
		networks = append(networks, n)
	}
	for what, took := range map[string][]time.Duration{"network": took, "endpoint": endpointTook} {
		slices.Sort(took)
		median := took[len(took)/2]
		t.Logf("%s: median %v, p90 %v, longest %v", what, median, took[len(took)*9/10], took[len(took)-1])
		if median > 50*time.Millisecond && !raceEnabled {
			t.Errorf("a %s takes %v", what, median)
		}
	}
	b.ready(10 * time.Second)
	t.Logf("memory: %d MB", b.memory()>>20)
	for _, f := range []string{"conf.db", "ovnnb.db", "ovnsb.db"} {
		info, err := os.Stat(filepath.Join(b.dir, "ovs", f))
		if err != nil {
			t.Fatal(err)
		}
		if t.Logf("%s: %d KB", f, info.Size()>>10); info.Size() > 24<<20 {
			t.Errorf("%s has %d MB", f, info.Size()>>20)
		}
	}
	for _, n := range networks {
		if _, err := b.api.RemoveNetworks(t.Context(), &networkv1.RemoveNetworksRequest{Ids: []string{n.Id}}); err != nil {
			t.Fatal(err)
		}
		b.ns.do(func() {
			if l, err := netlink.LinkByName(n.Gateway.Link); err != nil {
				t.Error(err)
			} else if err := netlink.LinkDel(l); err != nil {
				t.Error(err)
			}
		})
	}
	b.eventually(10*time.Second, func() error {
		if after := b.footprint(); fmt.Sprint(after) != fmt.Sprint(before) {
			return fmt.Errorf("before %v, after %v", before, after)
		}
		return nil
	})
}

// memory is what the helper and its daemons use of their own.
func (h *helper) memory() (bytes int) {
	pids := []int{h.cmd.Process.Pid}
	for _, pid := range h.daemons() {
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			h.t.Fatal(err)
		}
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); f[0] == "Pss:" {
				kb, _ := strconv.Atoi(f[1])
				bytes += kb << 10
				h.t.Logf("%s: %d MB", filepath.Base(exe), kb>>10)
			}
		}
	}
	return bytes
}

func (h *helper) cpu() (used time.Duration) {
	pids := []int{h.cmd.Process.Pid}
	for _, pid := range h.daemons() {
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			h.t.Fatal(err)
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		used += time.Duration(user+system) * 10 * time.Millisecond
	}
	return used
}

// TestIdle: a helper with a network that nothing happens in costs little.
func TestIdle(t *testing.T) {
	n := network(1)
	b := newBed(t, []*networkv1.Network{n}, newPlace(1, 1, "10.9.1.2").endpoint(n.Id))
	time.Sleep(2 * time.Second) // Starting is over.
	const watched = 10 * time.Second
	before := b.cpu()
	time.Sleep(watched)
	used := b.cpu() - before
	memory := b.memory()
	t.Logf("idle: %v of CPU in %v, %d MB", used, watched, memory>>20)
	if share := float64(used) / float64(watched); share > 0.03 {
		t.Errorf("an idle helper uses %.1f %% of a CPU", share*100)
	}
	if memory > 128<<20 && !raceEnabled {
		t.Errorf("an idle helper uses %d MB", memory>>20)
	}
}

// TestKilledHelper: nothing of it stays, and a new one is told everything.
func TestKilledHelper(t *testing.T) {
	b := newBed(t, nil)
	daemons := b.daemons()
	if len(daemons) != 4 {
		t.Fatalf("daemons: %v", daemons)
	}
	runtime.KeepAlive(b)
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range daemons {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // It is gone.
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 3000); n == 0 {
			t.Errorf("%s outlives the helper: %v", name, err)
		}
		_ = unix.Close(fd)
	}
	b.killed = true
}

// TestHangingDaemon: one that runs and does nothing is found out and restarted.
func TestHangingDaemon(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("it waits long")
	}
	const name = "ovn-northd"
	n := network(1)
	one := newPlace(1, 1, "10.9.1.2")
	b := newBed(t, []*networkv1.Network{n}, one.endpoint(n.Id))
	pid := b.daemons()[name]
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.eventually(2*ovn.AnswerLimit, func() error {
		if now := b.daemons()[name]; now == 0 || now == pid {
			return fmt.Errorf("%s was not restarted", name)
		}
		return nil
	})
	b.ready(5 * time.Second)
	two := newPlace(1, 2, "10.9.1.3")
	if _, err := b.api.ApplyEndpoints(t.Context(), &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{two.endpoint(n.Id)}}); err != nil {
		t.Fatal(err)
	}
	b.passes(one.udp(two, 1, 1), from(one, two))
}
