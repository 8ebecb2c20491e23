package namespace_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance/testagent"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/privileged"
)

func TestMain(m *testing.M) {
	testagent.Main()
	os.Exit(m.Run())
}

// instance is a keeper in this process, and workers for it.
type instance struct {
	t       testing.TB
	home    string
	log     hclog.Logger
	manager *privileged.Manager
	cancel  context.CancelCauseFunc
	done    chan error
	drivers chan *namespace.Driver
}

// inProcess is a worker that is this process.
type inProcess struct {
	conn  *wire.Conn
	ended chan struct{}
}

func (w *inProcess) Conn() *wire.Conn { return w.conn }
func (w *inProcess) Pid() int         { return os.Getpid() }
func (w *inProcess) Kill() error      { return nil }
func (w *inProcess) Wait() (string, error) {
	<-w.ended
	return "it ended", nil
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func start(t testing.TB, home string) *instance {
	t.Helper()
	needRoot(t)
	in := &instance{t: t, home: home, done: make(chan error, 1), drivers: make(chan *namespace.Driver, 1)}
	in.log = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: testWriter{t}})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper.Keeper{Store: keeper.NewStore(), Log: in.log}
	in.manager, err = privileged.New(privileged.Config{Home: home, Guest: exe, Log: in.log}, k.Store, k.Notify)
	if err != nil {
		t.Fatal(err)
	}
	k.Backend = in.manager
	k.Start = func() (keeper.Worker, error) { return in.worker() }
	ctx, cancel := context.WithCancelCause(context.Background())
	in.cancel = cancel
	go func() { in.done <- k.Run(ctx) }()
	return in
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

func (in *instance) worker() (keeper.Worker, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	near, err := wire.New(os.NewFile(uintptr(fds[0]), "near"))
	if err != nil {
		return nil, err
	}
	far, err := wire.New(os.NewFile(uintptr(fds[1]), "far"))
	if err != nil {
		return nil, err
	}
	w := &inProcess{conn: near, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		d, err := namespace.New(context.Background(), far, in.log)
		if err != nil {
			in.t.Error(err)
			return
		}
		in.drivers <- d
		<-d.Gone()
	}()
	return w, nil
}

// stop ends the keeper and all sandboxes.
func (in *instance) stop() {
	in.cancel(nil)
	if err := <-in.done; err != nil {
		in.t.Error(err)
	}
	if err := in.manager.Stop(context.Background()); err != nil {
		in.t.Error(err)
	}
}

// makeDisk puts an image with a file "hello" where the frontend keeps layers.
func makeDisk(t testing.TB, home string) string {
	t.Helper()
	id, dir := conformance.NewID(), filepath.Join(home, "frontend", "images", "disks")
	content := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(content, "hello"), []byte("hello"), 0o644)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-d", content, filepath.Join(dir, id+".ext4"), "4M").CombinedOutput()
	if err != nil {
		t.Skipf("no image can be made here: %v %s", err, out)
	}
	return id
}

func TestConformance(t *testing.T) {
	needRoot(t)
	home := t.TempDir()
	disk := makeDisk(t, home)
	in := start(t, home)
	defer in.stop()
	d := <-in.drivers
	conformance.Run(t, func(t *testing.T) *conformance.Instance {
		return &conformance.Instance{
			Driver: d, Disk: disk, Place: testagent.Place,
			KillAgent: func(sb sandbox.Sandbox) error { return unix.Kill(sb.Info().Pid, unix.SIGKILL) },
			Leftovers: func(t *testing.T) string { return leftovers(t, home) },
			Frame: func(sb sandbox.Sandbox, link string) error {
				// An interface that comes up sends router solicitations.
				return exec.Command("nsenter", "--net=/proc/"+fmt.Sprint(sb.Info().Pid)+"/ns/net", "ip", "link", "set", link, "up").Run()
			},
		}
	})
}

// leftovers counts what this instance holds of the machine.
func leftovers(t testing.TB, home string) string {
	t.Helper()
	count := func(pattern string) int {
		m, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return len(m)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	// What other tests of the package open for good (the netpoller) is there before the first count.
	n := 0
	for _, fd := range fds {
		l, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && !strings.HasPrefix(l, "anon_inode:[event") && !strings.HasPrefix(l, "/proc/") {
			n++
		}
	}
	loops := 0
	m, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), home) {
			loops++
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	groups := 0
	sum := sha256.Sum256([]byte(home))
	name := hex.EncodeToString(sum[:6])
	for _, l := range []string{"/sys/fs/cgroup/*/arca/" + name + "/*", "/sys/fs/cgroup/arca/" + name + "/*", "/sys/fs/cgroup/memory/*/*/arca/" + name + "/*"} {
		ms, err := filepath.Glob(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range ms {
			if len(filepath.Base(g)) == 64 {
				groups++
			}
		}
	}
	return fmt.Sprintf("children %q, descriptors %d, loop devices %d, mounts %d, groups %d, sandboxes %d, uppers %d, volumes %d",
		children, n, loops, strings.Count(string(mounts), home), groups, count(home+"/vmhelper/sandboxes/*"),
		count(home+"/vmhelper/uppers/*"), count(home+"/vmhelper/volumes/*"))
}

func BenchmarkCreate(b *testing.B) {
	home := b.TempDir()
	in := start(b, home)
	defer in.stop()
	d := <-in.drivers
	var create, stop time.Duration
	for b.Loop() {
		t0 := time.Now()
		sb, _, err := d.Create(b.Context(), sandbox.Spec{ID: conformance.NewID(), Things: sandbox.Things{}})
		if err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if err := sb.Stop(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		create, stop = create+t1.Sub(t0), stop+time.Since(t1)
	}
	b.ReportMetric(float64(create.Microseconds())/float64(b.N), "create-us")
	b.ReportMetric(float64(stop.Microseconds())/float64(b.N), "stop-us")
}
