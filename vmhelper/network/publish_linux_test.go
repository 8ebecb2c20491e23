package network

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"github.com/arca-engine/arca/vmhelper/publish"
	"github.com/arca-engine/arca/vmhelper/relay"
)

// town is a plane with one container on a network, and a machine that the host reaches by another network.
type town struct {
	plane     *Plane
	store     *memory
	container *space
	lan       *space
	box       *box
}

const (
	netID, webID, gateID = "n1", "e1", "g1"
	containerMTU         = 1500
)

var (
	containerMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	gatewayMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
)

func newTown(t testing.TB) *town {
	t.Helper()
	needRoot(t)
	w := &town{store: newMemory(t), container: newSpace(t), lan: newSpace(t)}
	tap := w.container.tap("eth0", containerMAC, containerMTU)
	t.Cleanup(func() { _ = tap.Close() })
	for _, l := range []string{"addr add 172.18.0.2/16 dev eth0", "-6 addr add fd00:18::2/64 dev eth0 nodad", "route add default via 172.18.0.1", "-6 route add default via fd00:18::1"} {
		w.container.ip(l)
	}
	ip(t, "link set lo up")
	ip(t, "link add lan type veth peer name host netns "+w.lan.path())
	t.Cleanup(func() { ip(t, "link del lan") })
	ip(t, "addr add 10.9.0.1/24 dev lan")
	ip(t, "-6 addr add fd00:9::1/64 dev lan nodad")
	ip(t, "link set lan up")
	w.lan.ip("addr add 10.9.0.2/24 dev host")
	w.lan.ip("-6 addr add fd00:9::2/64 dev host nodad")
	w.lan.ip("link set host up")
	w.box = &box{id: "s1", mtu: containerMTU, links: map[string]*os.File{"l0": tap}}
	w.open(t)
	return w
}

func (w *town) open(t testing.TB) {
	t.Helper()
	var err error
	if w.plane, err = New(context.Background(), w.store, logger(t)); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.Attach(context.Background(), w.box); err != nil {
		t.Fatal(err)
	}
	w.sync(t)
}

func (w *town) sync(t testing.TB) {
	t.Helper()
	if err := w.plane.Sync(relay.Table{
		Networks: []relay.Network{{ID: netID, Generation: 1, Subnets: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16"), netip.MustParsePrefix("fd00:18::/64")}}},
		Endpoints: []relay.Endpoint{
			{ID: webID, Generation: 1, Network: netID, Link: relay.LinkKey{Sandbox: "s1", Name: "l0"}, OVSTag: 2, MAC: [6]byte(containerMAC), Addresses: addrs("172.18.0.2", "fd00:18::2")},
			{ID: gateID, Generation: 1, Network: netID, Link: relay.LinkKey{Sandbox: "helper", Name: "g"}, OVSTag: 3, MAC: [6]byte(gatewayMAC), Addresses: addrs("172.18.0.1", "fd00:18::1"), Gateway: true},
		},
	}); err != nil {
		t.Fatal(err)
	}
}

func (w *town) close(t testing.TB) {
	t.Helper()
	if err := w.plane.Close(); err != nil {
		t.Error(err)
	}
}

func addrs(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func (w *town) publish(t testing.TB, p publish.Port) uint16 {
	t.Helper()
	if p.Endpoint == "" {
		p.Endpoint = webID
	}
	n, err := w.plane.Publisher.Publish(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *town) host(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func receive(t testing.TB, ch <-chan string) string {
	t.Helper()
	select {
	case s := <-ch:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nobody came")
		return ""
	}
}

// TestPublishedTCP holds who is seen by the container, that a half that is closed is closed alone, and that nothing of a
// stream is lost.
func TestPublishedTCP(t *testing.T) {
	w := newTown(t)
	defer w.close(t)
	seen := make(chan string, 8)
	echoes(t, w.container.listen(":80"), seen)
	port := w.publish(t, publish.Port{ID: "web", Protocol: publish.TCP, HostIPs: addrs("0.0.0.0", "::"), Inside: 80})
	if port < 32768 || port > 60999 {
		t.Errorf("a free port is %d", port)
	}
	for _, c := range []struct {
		name, from, to, seen string
	}{
		{"a remote client is seen as itself", "lan", "10.9.0.1", "10.9.0.2"},
		{"and by IPv6", "lan", "fd00:9::1", "fd00:9::2"},
		{"a local client is seen as the gateway", "host", "127.0.0.1", "172.18.0.1"},
		{"and by IPv6", "host", "::1", "fd00:18::1"},
		{"and by an address of the host", "host", "10.9.0.1", "172.18.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := net.JoinHostPort(c.to, fmt.Sprint(port))
			var conn net.Conn
			if c.from == "lan" {
				conn = w.lan.mustDial("tcp", addr)
			} else {
				conn = w.host(t, "tcp", addr)
			}
			host, at, err := net.SplitHostPort(receive(t, seen))
			if err != nil || host != c.seen {
				t.Errorf("seen as %s, %v", host, err)
			}
			if _, own, _ := net.SplitHostPort(conn.LocalAddr().String()); c.from == "lan" && own != at {
				t.Errorf("its port %s is seen as %s", own, at)
			}
			echo(t, conn, 8<<20)
		})
	}
}

// echo sends n bytes to an echo server, closes its half, and compares what comes back.
func echo(t testing.TB, conn net.Conn, n int) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	data := make([]byte, n)
	_, _ = rand.Read(data)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		sent <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-sent); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes came back", len(got), len(data))
	}
}

func TestPublishedUDP(t *testing.T) {
	w := newTown(t)
	defer w.close(t)
	c := w.container.listenUDP(":53")
	seen := make(chan string, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			seen <- from.String()
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	defer func() { _ = c.Close(); <-done }()
	port := w.publish(t, publish.Port{ID: "dns", Protocol: publish.UDP, HostIPs: addrs("0.0.0.0", "::"), First: 5300, Last: 5310, Inside: 53})
	if port != 5300 {
		t.Errorf("the first of the range is %d", port)
	}
	for _, tc := range []struct {
		from, to, seen string
		size           int
	}{
		{"lan", "10.9.0.1", "10.9.0.2", 100}, {"lan", "fd00:9::1", "fd00:9::2", 100}, {"host", "127.0.0.1", "172.18.0.1", 100},
		{"lan", "10.9.0.1", "10.9.0.2", 9000}, {"lan", "fd00:9::1", "fd00:9::2", 9000},
	} {
		addr := net.JoinHostPort(tc.to, fmt.Sprint(port))
		var conn net.Conn
		if tc.from == "lan" {
			conn = w.lan.mustDial("udp", addr)
		} else {
			conn = w.host(t, "udp", addr)
		}
		data := make([]byte, tc.size)
		_, _ = rand.Read(data)
		for range 3 {
			if _, err := conn.Write(data); err != nil {
				t.Fatal(err)
			}
			if host, _, _ := net.SplitHostPort(receive(t, seen)); host != tc.seen {
				t.Errorf("seen as %s, not as %s", host, tc.seen)
			}
			b := make([]byte, 65536)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := conn.Read(b)
			if err != nil || !bytes.Equal(b[:n], data) {
				t.Errorf("from %s to %s: %d bytes came back, %v", tc.from, tc.to, n, err)
			}
		}
	}
}

func TestPortsOfTheHost(t *testing.T) {
	w := newTown(t)
	defer w.close(t)
	ctx := context.Background()
	foreign, err := net.Listen("tcp4", "127.0.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = foreign.Close() }()
	p := publish.Port{ID: "a", Endpoint: webID, Protocol: publish.TCP, HostIPs: addrs("0.0.0.0", "::"), First: 7001, Inside: 80}
	for range 2 {
		if n := w.publish(t, p); n != 7001 {
			t.Errorf("port %d", n)
		}
	}
	p.ID, p.HostIPs = "b", addrs("127.0.0.1")
	if _, err := w.plane.Publisher.Publish(ctx, p); !errdefs.IsAlreadyExists(err) || !strings.Contains(err.Error(), "127.0.0.1:7001") {
		t.Errorf("a port that is published: %v", err)
	}
	p.HostIPs, p.First = addrs("::1", "127.0.0.1"), 7000
	if _, err := w.plane.Publisher.Publish(ctx, p); !errdefs.IsFailedPrecondition(err) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "127.0.0.1:7000") {
		t.Errorf("a port of another program: %v", err)
	}
	if l, err := net.Listen("tcp6", "[::1]:7000"); err != nil {
		t.Errorf("an address of a port that was refused is still listened to: %v", err)
	} else {
		_ = l.Close()
	}
	p.Last = 7001
	if _, err := w.plane.Publisher.Publish(ctx, p); !errdefs.IsResourceExhausted(err) {
		t.Errorf("a range without a free port: %v", err)
	}
	p.Last = 7002
	if n := w.publish(t, p); n != 7002 {
		t.Errorf("the free port of the range is %d", n)
	}
	p.ID, p.HostIPs = "c", addrs("10.1.2.3")
	if _, err := w.plane.Publisher.Publish(ctx, p); !errdefs.IsFailedPrecondition(err) || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address that is not the host's: %v", err)
	}
	if err := w.plane.Publisher.Unpublish(ctx, "a", "b", "absent"); err != nil {
		t.Error(err)
	}
	if ports := w.plane.Publisher.List(); len(ports) != 0 || len(w.store.files) != 0 {
		t.Errorf("left: %v, stored %v", ports, w.store.files)
	}
	for _, n := range []string{"7001", "7002"} {
		if _, err := net.Dial("tcp", "127.0.0.1:"+n); err == nil {
			t.Errorf("port %s is open", n)
		}
	}
}

// TestRules holds that the first rule that matches a client decides.
func TestRules(t *testing.T) {
	w := newTown(t)
	defer w.close(t)
	echoes(t, w.container.listen(":80"), nil)
	port := w.publish(t, publish.Port{ID: "web", Protocol: publish.TCP, HostIPs: addrs("0.0.0.0"), Inside: 80, Rules: []publish.Rule{
		{Source: netip.MustParsePrefix("127.0.0.0/8"), Allow: true}, {Source: netip.MustParsePrefix("0.0.0.0/0")},
	}})
	echo(t, w.host(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port)), 1000)
	if err := w.reset(port); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a client that a rule forbids: %v", err)
	}
}

// reset tells how the connection of a remote client ends who never speaks.
func (w *town) reset(port uint16) error {
	c, err := w.lan.dial("tcp", fmt.Sprintf("10.9.0.1:%d", port))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return err
}

// TestRefusal holds that a client learns at once that the container does not listen.
func TestRefusal(t *testing.T) {
	w := newTown(t)
	defer w.close(t)
	port := w.publish(t, publish.Port{ID: "web", Protocol: publish.TCP, HostIPs: addrs("0.0.0.0"), Inside: 81})
	if err := w.reset(port); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a client of a port where nobody listens: %v", err)
	}
}

// TestPortsOutliveTheWorker holds that a published port stays open when the worker dies, that the next one carries the
// clients that came meanwhile, and waits for the table to name the endpoint.
func TestPortsOutliveTheWorker(t *testing.T) {
	w := newTown(t)
	seen := make(chan string, 8)
	echoes(t, w.container.listen(":80"), seen)
	want := publish.Port{ID: "web", Endpoint: webID, Protocol: publish.TCP, HostIPs: addrs("0.0.0.0", "::1"), Inside: 80, Rules: []publish.Rule{{Source: netip.MustParsePrefix("0.0.0.0/0"), Allow: true}}}
	port := w.publish(t, want)
	udp := w.publish(t, publish.Port{ID: "udp", Protocol: publish.UDP, HostIPs: addrs("0.0.0.0"), Inside: 53})
	w.close(t)
	c := w.lan.mustDial("tcp", fmt.Sprintf("10.9.0.1:%d", port)) // It waits in the queue.
	var err error
	if w.plane, err = New(context.Background(), w.store, logger(t)); err != nil {
		t.Fatal(err)
	}
	defer w.close(t)
	ports := w.plane.Publisher.List()
	if len(ports) != 2 {
		t.Fatalf("%v", ports)
	}
	for _, p := range ports {
		if p.ID == "udp" && p.Host != udp || p.ID == "web" && (p.Host != port || len(p.HostIPs) != 2 || len(p.Rules) != 1) {
			t.Errorf("%+v", p)
		}
	}
	if err := w.plane.Attach(context.Background(), w.box); err != nil {
		t.Fatal(err)
	}
	w.sync(t)
	if host, _, _ := net.SplitHostPort(receive(t, seen)); host != "10.9.0.2" {
		t.Errorf("the client who waited is seen as %s", host)
	}
	echo(t, c, 1<<20)
	if n := w.publish(t, want); n != port {
		t.Errorf("published again at %d", n)
	}
}

// TestNothingIsLeft holds that connections, also those that are in the middle of something, end with their port, their
// endpoint and the plane, and leave no goroutine.
func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("all", func(t *testing.T) {
		w := newTown(t)
		seen := make(chan string, 64)
		echoes(t, w.container.listen(":80"), seen)
		reset := func(c net.Conn) {
			t.Helper()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a connection ended with %v", err)
			}
		}
		open := func(port uint16) net.Conn {
			c := w.lan.mustDial("tcp", fmt.Sprintf("10.9.0.1:%d", port))
			receive(t, seen)
			return c
		}
		port := w.publish(t, publish.Port{ID: "web", Protocol: publish.TCP, HostIPs: addrs("0.0.0.0"), Inside: 80})
		c := open(port)
		if err := w.plane.Publisher.Unpublish(context.Background(), "web"); err != nil {
			t.Error(err)
		}
		reset(c)
		port = w.publish(t, publish.Port{ID: "web", Protocol: publish.TCP, HostIPs: addrs("0.0.0.0"), Inside: 80})
		c = open(port)
		if err := w.plane.Change(relay.Change{RemoveEndpoints: []string{webID}}); err != nil {
			t.Error(err)
		}
		reset(c)
		w.sync(t)
		c = open(port)
		for range 20 { // Some are in the middle of connecting.
			_, _ = w.lan.dial("tcp", fmt.Sprintf("10.9.0.1:%d", port))
		}
		w.close(t)
		reset(c)
	})
	goleak.VerifyNone(t, before)
}
