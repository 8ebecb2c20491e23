package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// rootEnv says that this process is a helper: the root of its image.
const rootEnv = "ARCA_TEST_HELPER_ROOT"

// image is where `make build` leaves the helper's image.
const imagePath = "../bin/helper-image.tar"

func TestMain(m *testing.M) {
	if root := os.Getenv(rootEnv); root != "" {
		if err := beHelper(root); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if imageRoot.dir != "" {
		_ = os.RemoveAll(imageRoot.dir)
	}
	os.Exit(code)
}

// beHelper runs the helper's program inside of its image, in namespaces that were made for this process.
func beHelper(root string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, d := range []string{"proc", "dev"} {
		if err := unix.Mount("/"+d, filepath.Join(root, d), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", d, err)
		}
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if name, isTool := strings.CutPrefix(os.Args[1], toolPrefix); isTool {
		return unix.Exec(name, append([]string{name}, os.Args[2:]...), os.Environ())
	}
	return run(os.Args[1:])
}

// toolPrefix before the first argument says that a program of the image is to be run instead of the helper.
const toolPrefix = "tool:"

var imageRoot struct {
	sync.Once
	dir string
	err error
}

// unpackImage unpacks the image once for all tests.
func unpackImage(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	if _, err := os.Stat(imagePath); err != nil {
		t.Skip("the helper's image is not built")
	}
	imageRoot.Do(func() { imageRoot.dir, imageRoot.err = extract(imagePath) })
	if imageRoot.err != nil {
		t.Fatal(imageRoot.err)
	}
	return imageRoot.dir
}

func extract(path string) (dir string, err error) {
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "helper-"); err != nil {
		return "", err
	}
	files := mutate.Extract(img)
	defer func() { _ = files.Close() }()
	for tr := tar.NewReader(files); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return dir, nil
		}
		if err != nil {
			return dir, err
		}
		to := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(to, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, to)
		case tar.TypeReg:
			if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
				var b []byte
				if b, err = io.ReadAll(tr); err == nil {
					err = os.WriteFile(to, b, os.FileMode(h.Mode))
				}
			}
		}
		if err != nil {
			return dir, err
		}
	}
}

// helper is a running helper in a network namespace of its own.
type helper struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string // of the control socket, below the image's root.
	ns  *space
	// killed says that the test has killed it.
	killed bool
	api    networkv1.ControlClient
}

func startHelper(t *testing.T) *helper {
	t.Helper()
	root := unpackImage(t)
	run, err := os.MkdirTemp(filepath.Join(root, "run"), "t") //nolint:usetesting // it has to be inside of the image's root.
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, dir: run}
	inside := "/run/" + filepath.Base(run)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h.cmd = exec.Command(self, "--socket", inside+"/control.sock", "--run", inside+"/ovs")
	h.cmd.Env = append(os.Environ(), rootEnv+"="+root)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	var log lockedBuffer
	h.cmd.Stdout, h.cmd.Stderr = &log, &log
	runtime.LockOSThread()
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
		if err := h.cmd.Wait(); err != nil && !h.killed {
			t.Errorf("the helper ended with %v", err)
		}
		runtime.UnlockOSThread()
		if t.Failed() {
			t.Logf("log of the helper:\n%s", log.String())
		}
	})
	handle, err := netns.GetFromPid(h.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	h.ns = &space{t, handle}
	t.Cleanup(func() { _ = handle.Close() })
	// The process takes its namespace with it at its start, but its loopback interface is down.
	h.ns.do(func() { setUp(t, "lo") })
	conn, err := grpc.NewClient("unix:"+filepath.Join(run, "control.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	h.api = networkv1.NewControlClient(conn)
	return h
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// ready waits until all parts are.
func (h *helper) ready(within time.Duration) {
	h.t.Helper()
	var last *networkv1.HealthResponse
	h.eventually(within, func() error {
		ctx, cancel := context.WithTimeout(h.t.Context(), within)
		defer cancel()
		r, err := h.api.Health(ctx, &networkv1.HealthRequest{})
		if err != nil {
			return err
		}
		if last = r; !r.GetReady() {
			return fmt.Errorf("not ready: %v", last)
		}
		return nil
	})
}

func (h *helper) eventually(within time.Duration, f func() error) {
	h.t.Helper()
	eventually(h.t, within, f)
}

// eventually tries until it works. What is waited for is another process's doing, which tells nobody.
func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("within %v: %v", within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tool runs a program of the image against the helper's daemons.
func (h *helper) tool(name string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command(h.cmd.Path, append([]string{toolPrefix + "/usr/bin/" + name}, args...)...)
	inside := "/run/" + h.runName() + "/ovs"
	cmd.Env = []string{rootEnv + "=" + imageRoot.dir, "OVS_RUNDIR=" + inside, "OVN_RUNDIR=" + inside}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// runName is the name of this helper's directory below /run.
func (h *helper) runName() string { return filepath.Base(h.dir) }

func (h *helper) database() string {
	return "--db=unix:/run/" + filepath.Base(h.dir) + "/ovs/db.sock"
}

// space is a network namespace.
type space struct {
	t      *testing.T
	handle netns.NsHandle
}

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{t: t}
	done := make(chan error)
	go func() {
		// The thread is never given back: it ends with the goroutine.
		runtime.LockOSThread()
		var err error
		s.handle, err = netns.New()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.handle.Close() })
	s.do(func() { setUp(t, "lo") })
	return s
}

// do runs f on a thread that is in the namespace. Sockets that f makes stay there.
func (s *space) do(f func()) {
	s.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(s.handle); err != nil {
			done <- err
			return
		}
		defer close(done) // Also when f ends the test.
		f()
	}()
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
}

func setUp(t *testing.T, name string) {
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		t.Errorf("set up %s: %v", name, err)
	}
}

// pair makes an interface in each of two namespaces, connected.
func pair(t *testing.T, a *space, nameA string, b *space, nameB string) {
	t.Helper()
	a.do(func() {
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nameA}, PeerName: nameB, PeerNamespace: netlink.NsFd(b.handle)}
		if err := netlink.LinkAdd(v); err != nil {
			t.Errorf("make %s: %v", nameA, err)
		}
	})
	b.do(func() { setUp(t, nameB) })
}

// address gives an interface addresses, and a default route if hop is not empty.
func (s *space) address(name, hop string, cidrs ...string) {
	s.t.Helper()
	s.do(func() {
		l, err := netlink.LinkByName(name)
		if err != nil {
			s.t.Error(err)
			return
		}
		for _, c := range cidrs {
			a, err := netlink.ParseAddr(c)
			if err == nil {
				a.Flags = unix.IFA_F_NODAD
				err = netlink.AddrAdd(l, a)
			}
			if err != nil {
				s.t.Errorf("address %s: %v", c, err)
			}
		}
		if hop == "" {
			return
		}
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(hop), LinkIndex: l.Attrs().Index}); err != nil {
			s.t.Errorf("route by %s: %v", hop, err)
		}
	})
}

// tap is an interface of a namespace whose frames the test reads and writes.
type tap struct {
	t *testing.T
	f *os.File
}

func (s *space) tap(name string) *tap {
	s.t.Helper()
	tp := &tap{t: s.t}
	s.do(func() {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			s.t.Error(err)
			return
		}
		r, err := unix.NewIfreq(name)
		if err == nil {
			r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
		}
		if err != nil {
			s.t.Errorf("make tap %s: %v", name, err)
		}
		tp.f = os.NewFile(uintptr(fd), name)
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
	s.t.Cleanup(func() { _ = tp.f.Close() })
	return tp
}

func (tp *tap) send(frame []byte) {
	tp.t.Helper()
	if _, err := tp.f.Write(frame); err != nil {
		tp.t.Fatal(err)
	}
}

// receive returns the first frame that is wanted; nil when none came in time.
func (tp *tap) receive(within time.Duration, wanted func([]byte) bool) []byte {
	tp.t.Helper()
	if err := tp.f.SetReadDeadline(time.Now().Add(within)); err != nil {
		tp.t.Fatal(err)
	}
	b := make([]byte, 70000)
	for {
		n, err := tp.f.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			tp.t.Fatal(err)
		}
		if wanted(b[:n]) {
			return b[:n]
		}
	}
}
