package relay

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The benchmark against a bridge of the kernel: two network namespaces, joined by the relay through TAPs or by a bridge
// through veth pairs, and in each of them a process of its own, which is this test's binary again.

const peerRole = "ARCA_RELAY_BENCH_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(peerRole); role != "" {
		if err := peer(role, os.Args[1:]); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkAgainstBridge reports throughput of one TCP connection and the median of a request and answer of one byte,
// of the relay, of a bridge of the kernel and of gvisor-tap-vsock's switch. ARCA_RELAY_BENCH_CC chooses the congestion
// control, ARCA_RELAY_BENCH_SECONDS how long each stream takes.
func BenchmarkAgainstBridge(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("only root makes network namespaces")
	}
	seconds := "2"
	if s := os.Getenv("ARCA_RELAY_BENCH_SECONDS"); s != "" {
		seconds = s
	}
	for _, mtu := range []int{1500, 65000} {
		b.Run(fmt.Sprintf("mtu=%d", mtu), func(b *testing.B) {
			own, bridge, other := joined(b, mtu, relayBetween), joined(b, mtu, bridgeBetween), joined(b, mtu, tapVsockBetween)
			var rates, medians [3][]float64
			for range b.N {
				for i, p := range []*two{bridge, own, other} { // In turn: the machine's mood is the same for all.
					rates[i] = append(rates[i], p.ask(b, "send", seconds))
					medians[i] = append(medians[i], p.ask(b, "request", "4000"))
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, name := range []string{"bridge", "relay", "tapvsock"} {
				b.ReportMetric(median(rates[i])/1e9*8, name+"-Gbit/s")
				b.ReportMetric(median(medians[i])/1e3, name+"-p50-µs")
			}
			b.ReportMetric(median(rates[1])/median(rates[0]), "ratio")
			b.ReportMetric(median(rates[2])/median(rates[0]), "tapvsock-ratio")
			if own.relay != nil {
				_, c := own.relay.Counters()
				b.ReportMetric(float64(c["read_bytes"])/float64(max(c["reads"], 1)), "B/read")
				b.ReportMetric(float64(c["reads"])/float64(max(c["wakeups"], 1)), "reads/wakeup")
			}
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// two are two namespaces with an interface eth0 each: 10.9.0.1 and 10.9.0.2.
type two struct {
	spaces [2]netns.NsHandle
	relay  *Relay
}

func joined(t testing.TB, mtu int, join func(testing.TB, *two, int)) *two {
	p := new(two)
	for i := range p.spaces {
		p.spaces[i] = newSpace(t)
	}
	join(t, p, mtu)
	for i, space := range p.spaces {
		h, err := netlink.NewHandleAt(space)
		must(t, err)
		for _, name := range []string{"lo", "eth0"} {
			l, err := h.LinkByName(name)
			must(t, err)
			if name == "eth0" {
				must(t, h.LinkSetMTU(l, mtu))
				a, err := netlink.ParseAddr(fmt.Sprintf("10.9.0.%d/24", i+1))
				must(t, err)
				must(t, h.AddrAdd(l, a))
			}
			must(t, h.LinkSetUp(l))
		}
		h.Close()
	}
	serve := p.command(1, "serve")
	out, err := serve.StdoutPipe()
	must(t, err)
	must(t, startIn(p.spaces[1], serve))
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSpace(t testing.TB) netns.NsHandle {
	var h netns.NsHandle
	must(t, onThread(func() (err error) {
		h, err = netns.New()
		return err
	}))
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

func startIn(space netns.NsHandle, c *exec.Cmd) error {
	return onThread(func() error {
		if err := netns.Set(space); err != nil {
			return err
		}
		return c.Start()
	})
}

func (p *two) command(_ int, role string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...) //nolint:noctx // it ends by itself, or is killed by the cleanup.
	c.Env = append(os.Environ(), peerRole+"="+role)
	c.Stderr = os.Stderr
	return c
}

// ask has the first namespace do something with the second, and gives its figure.
func (p *two) ask(t testing.TB, role, arg string) float64 {
	t.Helper()
	c := p.command(0, role, arg)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, startIn(p.spaces[0], c))
	var v float64
	err = json.NewDecoder(out).Decode(&v)
	must(t, errors.Join(err, c.Wait()))
	return v
}

func relayBetween(t testing.TB, p *two, _ int) {
	r := New(Config{Log: hclog.NewNullLogger()})
	t.Cleanup(func() { must(t, r.Close()) })
	p.relay = r
	must(t, r.Change(Change{Networks: []Network{{ID: testNetwork}}}))
	for i, space := range p.spaces {
		e := host(i + 1)
		f, mac := makeTAP(t, space, true)
		e.MAC = mac
		e.Addresses = append(e.Addresses, addr(fmt.Sprintf("10.9.0.%d", i+1)))
		must(t, r.Change(Change{Endpoints: []Endpoint{e}}))
		must(t, r.Attach(e.Link, f, LinkOptions{VnetHeader: headerLen, Checksums: true, Segments: true}))
	}
}

// makeTAP makes eth0 in a namespace, as the driver does.
func makeTAP(t testing.TB, space netns.NsHandle, vnet bool) (f *os.File, mac [6]byte) {
	must(t, onThread(func() error {
		if err := netns.Set(space); err != nil {
			return err
		}
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		ifr, err := unix.NewIfreq("eth0")
		if err != nil {
			return err
		}
		flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if vnet {
			flags |= unix.IFF_VNET_HDR
		}
		ifr.SetUint16(flags)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), "tap")
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		mac = [6]byte(i.HardwareAddr)
		return nil
	}))
	return f, mac
}

func bridgeBetween(t testing.TB, p *two, mtu int) {
	middle := newSpace(t)
	h, err := netlink.NewHandleAt(middle)
	must(t, err)
	defer h.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, h.LinkAdd(bridge))
	must(t, h.LinkSetUp(bridge))
	for i, space := range p.spaces {
		name := "v" + strconv.Itoa(i)
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: mtu}, PeerName: "eth0", PeerNamespace: netlink.NsFd(space)}
		must(t, h.LinkAdd(veth))
		l, err := h.LinkByName(name)
		must(t, err)
		must(t, h.LinkSetMaster(l, bridge))
		must(t, h.LinkSetUp(l))
	}
	must(t, h.LinkSetMTU(bridge, mtu))
}

// What the processes in the namespaces do. They use blocking system calls, as iperf3 does.

func peer(role string, args []string) error {
	runtime.LockOSThread()
	switch role {
	case "serve":
		return servePeer()
	case "send":
		seconds, err := strconv.ParseFloat(args[0], 64)
		if err != nil {
			return err
		}
		return sendPeer(time.Duration(seconds * float64(time.Second)))
	case "request":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return requestPeer(n)
	}
	return fmt.Errorf("no role %q", role)
}

func servePeer() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(s, &unix.SockaddrInet4{Port: 5001}); err != nil {
		return err
	}
	if err := unix.Listen(s, 16); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	for {
		c, _, err := unix.Accept(s)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
		buf := make([]byte, 128<<10)
		var total uint64
		for {
			n, err := unix.Read(c, buf)
			if err != nil || n == 0 {
				break
			}
			if n == 1 { // A request.
				_, _ = unix.Write(c, buf[:1])
			}
			total += uint64(n)
		}
		_, _ = unix.Write(c, binary.LittleEndian.AppendUint64(nil, total))
		_ = unix.Close(c)
	}
}

func connectPeer() (int, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	if cc := os.Getenv("ARCA_RELAY_BENCH_CC"); cc != "" {
		if err := unix.SetsockoptString(s, unix.IPPROTO_TCP, unix.TCP_CONGESTION, cc); err != nil {
			return -1, err
		}
	}
	if err := unix.Connect(s, &unix.SockaddrInet4{Port: 5001, Addr: [4]byte{10, 9, 0, 2}}); err != nil {
		return -1, fmt.Errorf("connect: %w", err)
	}
	return s, unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

func sendPeer(d time.Duration) error {
	s, err := connectPeer()
	if err != nil {
		return err
	}
	buf := make([]byte, 128<<10)
	begin := time.Now()
	for time.Since(begin) < d {
		if _, err := unix.Write(s, buf); err != nil {
			return err
		}
	}
	if err := unix.Shutdown(s, unix.SHUT_WR); err != nil {
		return err
	}
	var total [8]byte
	if _, err := io.ReadFull(fdReader(s), total[:]); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(float64(binary.LittleEndian.Uint64(total[:])) / time.Since(begin).Seconds())
}

type fdReader int

func (r fdReader) Read(p []byte) (int, error) {
	n, err := unix.Read(int(r), p)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

func requestPeer(n int) error {
	s, err := connectPeer()
	if err != nil {
		return err
	}
	times := make([]float64, n)
	b := make([]byte, 1)
	for i := range times {
		begin := time.Now()
		if _, err := unix.Write(s, b); err != nil {
			return err
		}
		if _, err := unix.Read(s, b); err != nil {
			return err
		}
		times[i] = float64(time.Since(begin))
	}
	return json.NewEncoder(os.Stdout).Encode(median(times))
}
