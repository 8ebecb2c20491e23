package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/sandbox"
)

const childEnv = "ARCA_TEST_NETWORK"

// TestMain runs the tests in a network namespace of their own: it stands for the host.
func TestMain(m *testing.M) {
	if os.Getuid() != 0 || os.Getenv(childEnv) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		os.Exit(1)
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
}

// space is a network namespace.
type space struct {
	t testing.TB
	f *os.File
}

func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{t: t}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with its namespace.
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.f, err = os.Open("/proc/thread-self/ns/net")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.f.Close() })
	s.ip("link set lo up")
	return s
}

// do calls f within the namespace: sockets made there belong to it.
func (s *space) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(s.f.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func (s *space) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.f.Fd()) }

func (s *space) ip(line string) {
	s.t.Helper()
	s.run("ip " + line)
}

func (s *space) run(line string) string {
	s.t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + s.path()}, strings.Fields(line)...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

func ip(t testing.TB, line string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

// tap makes a TAP in the namespace as the driver does.
func (s *space) tap(name string, mac net.HardwareAddr, mtu int) *os.File {
	s.t.Helper()
	var f *os.File
	if err := s.do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
			return err
		}
		return unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, 12)
	}); err != nil {
		s.t.Fatal(err)
	}
	s.ip(fmt.Sprintf("link set dev %s address %s mtu %d txqueuelen 2000 up", name, mac, mtu))
	return f
}

func (s *space) listen(addr string) net.Listener {
	s.t.Helper()
	var l net.Listener
	if err := s.do(func() (err error) { l, err = net.Listen("tcp", addr); return err }); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	return l
}

func (s *space) listenUDP(addr string) net.PacketConn {
	s.t.Helper()
	var c net.PacketConn
	if err := s.do(func() (err error) { c, err = net.ListenPacket("udp", addr); return err }); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *space) dial(network, addr string) (net.Conn, error) {
	var c net.Conn
	err := s.do(func() (err error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		d.SetMultipathTCP(false)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

func (s *space) mustDial(network, addr string) net.Conn {
	s.t.Helper()
	c, err := s.dial(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// box is a sandbox whose links are files.
type box struct {
	sandbox.Sandbox
	id    string
	mu    sync.Mutex
	links map[string]*os.File
	mtu   uint32
}

func (b *box) Info() sandbox.Info { return sandbox.Info{ID: b.id, BootID: "1"} }
func (b *box) Links() (out []sandbox.LinkSpec) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range b.links {
		out = append(out, sandbox.LinkSpec{Name: n, MTU: b.mtu})
	}
	return out
}

func (b *box) Link(_ context.Context, name string) (*sandbox.Link, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.links[name]
	if f == nil {
		return nil, fmt.Errorf("no link: %w", errdefs.ErrNotFound)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	_ = unix.SetNonblock(fd, true)
	return &sandbox.Link{File: os.NewFile(uintptr(fd), name), VnetHeader: 12, MTU: b.mtu}, nil
}

// memory is a store as the keeper has one.
type memory struct {
	mu    sync.Mutex
	files map[string]int
}

func newMemory(t testing.TB) *memory {
	m := &memory{files: map[string]int{}}
	t.Cleanup(func() {
		for _, fd := range m.files {
			_ = unix.Close(fd)
		}
	})
	return m
}

func (m *memory) Put(_ context.Context, name string, f *os.File) error {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = fd
	return err
}

func (m *memory) Get(_ context.Context, name string) (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errdefs.ErrNotFound)
	}
	fd, err := unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 3)
	return os.NewFile(uintptr(fd), name), err
}

func (m *memory) Drop(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if fd, ok := m.files[name]; ok {
		delete(m.files, name)
		return unix.Close(fd)
	}
	return nil
}

func (m *memory) Names(_ context.Context, after string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.files {
		if n > after {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

func logger(t testing.TB) hclog.Logger {
	level := hclog.Warn
	if testing.Verbose() {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Level: level, Output: os.Stderr})
}

// echoes answers everything with itself and closes its half when the client has closed its own.
func echoes(t testing.TB, l net.Listener, seen chan<- string) {
	t.Helper()
	done := make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		defer wg.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if seen != nil {
				seen <- c.RemoteAddr().String()
			}
			wg.Go(func() {
				// A container that has lost its network is not told.
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				defer stop()
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	}()
	t.Cleanup(func() { _ = l.Close(); cancel(nil); <-done })
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
