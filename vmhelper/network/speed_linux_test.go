package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/publish"
)

// streams serves the speed tests: a connection whose first byte is 1 is sent size bytes, one whose first byte is 0 is
// read to its end and answered with how many came.
func streams(t testing.TB, l net.Listener, size int64) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		defer wg.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				var b [1]byte
				if _, err := io.ReadFull(c, b[:]); err != nil {
					return
				}
				switch b[0] {
				case 0:
					n, _ := io.CopyBuffer(io.Discard, onlyReader{c}, make([]byte, 256<<10)) // The client compares.
					_, _ = fmt.Fprint(c, n)
				case 1:
					pour(c, size)
				case 2:
					for {
						if _, err := c.Read(b[:]); err != nil {
							return
						}
						if _, err := c.Write(b[:]); err != nil {
							return
						}
					}
				}
			})
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

type onlyReader struct{ io.Reader }

func pour(w io.Writer, size int64) {
	b := make([]byte, 256<<10)
	for size > 0 {
		n, err := w.Write(b[:min(size, int64(len(b)))])
		if err != nil {
			return
		}
		size -= int64(n)
	}
}

// proxy carries connections as docker-proxy does: by sockets of the host and the kernel's splice.
func proxy(t testing.TB, to string) string {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		defer wg.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				var d net.Dialer
				d.SetMultipathTCP(false)
				in, err := d.Dial("tcp", to)
				if err != nil {
					_ = c.Close()
					return
				}
				wg.Go(func() {
					_, _ = io.Copy(in, c)
					_ = in.(*net.TCPConn).CloseWrite()
				})
				_, _ = io.Copy(c, in)
				_ = c.(*net.TCPConn).CloseWrite()
			})
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// pace is how fast something went, and what of the processors it took: the figure that holds on a busy machine.
type pace struct {
	rate float64 // MiB/s.
	cpu  time.Duration
}

func (p pace) String() string {
	return fmt.Sprintf("%.0f MiB/s, %d ms of CPU", p.rate, p.cpu.Milliseconds())
}

// clock begins to measure.
func clock(size int64) func() pace {
	start, used := time.Now(), cpu()
	return func() pace {
		return pace{float64(size) / (1 << 20) / time.Since(start).Seconds(), cpu() - used}
	}
}

// cpu tells the processor time that this process, which is client, carrier and server in one, has used.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// speed measures both directions of one connection, and the median of a round trip.
func speed(t testing.TB, dial func(port string) net.Conn, port string, size int64) (up, down pace, trip time.Duration) {
	t.Helper()
	c := dial(port)
	stop := clock(size)
	_, _ = c.Write([]byte{0})
	pour(c, size)
	_ = c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil || string(answer) != fmt.Sprint(size) {
		t.Errorf("%s of %d bytes arrived, %v", answer, size, err)
	}
	up = stop()
	_ = c.Close()

	c = dial(port)
	stop = clock(size)
	_, _ = c.Write([]byte{1})
	n, err := io.CopyBuffer(io.Discard, onlyReader{c}, make([]byte, 256<<10))
	if err != nil || n != size {
		t.Errorf("%d of %d bytes arrived, %v", n, size, err)
	}
	down = stop()
	_ = c.Close()

	c = dial(port)
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte{2})
	var b [1]byte
	trips := make([]time.Duration, 2000)
	for i := range trips {
		start := time.Now()
		if _, err := c.Write(b[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		trips[i] = time.Since(start)
	}
	return up, down, median(trips)
}

// TestSpeed carries 1 GiB through a published port in both directions, for a local and a remote client, and beside it
// through a proxy as docker-proxy is one, over a veth pair. It holds that nothing is lost, and prints the figures; where
// nobody sees them it carries less.
func TestSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("carries gigabytes")
	}
	w := newTown(t)
	defer w.close(t)
	size := int64(64 << 20)
	if testing.Verbose() {
		size = 1 << 30
	}
	streams(t, w.container.listen(":80"), size)
	ip(t, "link add docker type veth peer name eth1 netns "+w.container.path())
	ip(t, "addr add 172.19.0.1/24 dev docker")
	ip(t, "link set docker up")
	w.container.ip("addr add 172.19.0.2/24 dev eth1")
	w.container.ip("link set eth1 up")
	port := fmt.Sprint(w.publish(t, publish.Port{ID: "web", Protocol: publish.TCP, HostIPs: addrs("0.0.0.0"), Inside: 80}))
	peer := proxy(t, "172.19.0.2:80")
	for _, client := range []struct {
		name string
		dial func(string) net.Conn
	}{
		{"local", func(port string) net.Conn { return w.host(t, "tcp", "127.0.0.1:"+port) }},
		{"remote", func(port string) net.Conn { return w.lan.mustDial("tcp", "10.9.0.1:"+port) }},
	} {
		for _, way := range []struct{ name, port string }{{"proxy over veth", peer}, {"published port", port}} {
			up, down, trip := speed(t, client.dial, way.port, size)
			t.Logf("%s client, %s: to the container %v; from it %v; a round trip %v", client.name, way.name, up, down, trip)
		}
	}
}
