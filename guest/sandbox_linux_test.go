package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// TestMain lets the test binary be the agent of its own sandboxes.
func TestMain(m *testing.M) {
	if os.Getenv(bootwire.Env) != "" {
		main()
		os.Exit(0)
	}
	code := m.Run()
	if tools.dir != "" {
		_ = os.RemoveAll(tools.dir)
	}
	os.Exit(code)
}

var tools struct {
	sync.Once
	dir string
	err error
}

// tool builds runc and the init once, and returns the path of one.
func tool(t testing.TB, name string) string {
	t.Helper()
	tools.Do(func() {
		if tools.dir, tools.err = os.MkdirTemp("", "tools"); tools.err != nil { //nolint:usetesting // All tests share it.
			return
		}
		build := func(dir, out, pkg string, env []string, args ...string) {
			if tools.err != nil {
				return
			}
			cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", filepath.Join(tools.dir, out)}, args...), pkg)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
			if b, err := cmd.CombinedOutput(); err != nil {
				tools.err = fmt.Errorf("build %s: %w: %s", out, err, b)
			}
		}
		build("../build/runc", "runc", "github.com/opencontainers/runc", []string{"CGO_ENABLED=1"}, "-tags", "seccomp netgo osusergo", "-ldflags", "-s -w -linkmode external -extldflags -static")
		build(".", "init", "./init", []string{"CGO_ENABLED=0"}, "-ldflags", "-s -w")
	})
	if tools.err != nil {
		t.Skip("runc cannot be built here: ", tools.err)
	}
	return filepath.Join(tools.dir, name)
}

// sandbox is a namespace sandbox with the true agent in it.
type sandbox struct {
	t       testing.TB
	dir     string
	cmd     *exec.Cmd
	boot    *bootwire.Conn
	socket  string
	agent   guestv1.AgentClient
	conn    *grpc.ClientConn
	stderr  *bytes.Buffer
	booted  time.Duration
	exited  chan struct{}
	cgroups []string
}

func openTree(t testing.TB, path string) *os.File {
	t.Helper()
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), path)
}

// start boots a sandbox with the extra attachments.
func start(t testing.TB, more ...bootwire.Attachment) *sandbox {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a sandbox needs namespaces, mounts and control groups: run as root")
	}
	s := &sandbox{t: t, dir: t.TempDir(), stderr: &bytes.Buffer{}, exited: make(chan struct{})}
	s.socket = filepath.Join(s.dir, "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	lf, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "boot")
	if s.boot, err = bootwire.New(os.NewFile(uintptr(fds[0]), "boot")); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if custom := os.Getenv("ARCA_TEST_GUEST"); custom != "" {
		exe = custom
	}
	s.cmd = exec.Command(exe)
	s.cmd.Env = []string{bootwire.Env + "=" + bootwire.EnvNamespace}
	s.cmd.Stderr = s.stderr
	s.cmd.ExtraFiles = []*os.File{theirs, lf}
	s.cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP}
	cgroup := s.makeCgroups()
	runcPath, initPath := tool(t, "runc"), tool(t, "init")
	begun := time.Now()
	s.spawn()
	_ = theirs.Close()
	_ = lf.Close()
	t.Cleanup(s.stop)
	req := &bootwire.Request{Seq: 1, Type: bootwire.Boot, Spec: &bootwire.Spec{ID: "test", BootID: "boot", AllowedUIDs: []uint32{0}, Cgroup: cgroup}}
	req.Attachments = append(req.Attachments,
		bootwire.Attachment{Kind: bootwire.Tool, ID: "runc", Ref: "dir:/arca/tools", IsDir: true, File: openTree(t, filepath.Dir(runcPath))},
		bootwire.Attachment{Kind: bootwire.Tool, ID: "init", Ref: "file:/arca/bin/arca-init", File: openTree(t, initPath)})
	req.Attachments = append(req.Attachments, more...)
	if err := s.boot.Send(req); err != nil {
		t.Fatal(err)
	}
	req.Close()
	res, err := s.boot.ReceiveResponse()
	if err != nil || res.Error != "" {
		t.Fatalf("boot: %v %s; %s", err, res.Error, s.stderr)
	}
	s.conn, err = grpc.NewClient("passthrough:agent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.dial(guestwire.PortControl) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	s.agent = guestv1.NewAgentClient(s.conn)
	if _, err := s.agent.Hello(t.Context(), &guestv1.HelloRequest{}); err != nil {
		t.Fatalf("hello: %v; %s", err, s.stderr)
	}
	s.booted = time.Since(begun)
	return s
}

// makeCgroups makes a group for the sandbox in each version 1 hierarchy.
func (s *sandbox) makeCgroups() bootwire.Cgroup {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return bootwire.Cgroup{Version: 2, Mounts: []bootwire.CgroupMount{{FSType: "cgroup2"}}}
	}
	c := bootwire.Cgroup{Version: 1}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[1] == "" {
			c.Mounts = append(c.Mounts, bootwire.CgroupMount{Name: "unified", FSType: "cgroup2"})
			continue
		}
		name := strings.TrimPrefix(f[1], "name=")
		options := f[1]
		if name != f[1] {
			options = "none," + f[1]
		}
		c.Mounts = append(c.Mounts, bootwire.CgroupMount{Name: name, FSType: "cgroup", Options: options})
		dir := filepath.Join("/sys/fs/cgroup", name, fmt.Sprintf("arca-guest-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
		if name == "cpuset" {
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
				b, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup/cpuset", f))
				if err := os.WriteFile(filepath.Join(dir, f), b, 0); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		s.cgroups = append(s.cgroups, dir)
	}
	return c
}

// spawn starts the agent from a thread that is in the sandbox's groups and ends afterwards.
func (s *sandbox) spawn() {
	done := make(chan error)
	go func() {
		goruntime.LockOSThread()
		done <- func() error {
			for _, d := range s.cgroups {
				if err := os.WriteFile(filepath.Join(d, "tasks"), []byte(fmt.Sprint(unix.Gettid())), 0); err != nil {
					return err
				}
			}
			return s.cmd.Start()
		}()
	}()
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
}

func (s *sandbox) stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
	_ = s.boot.Close()
	for _, d := range s.cgroups {
		removeGroups(d)
	}
	if strings.Contains(s.stderr.String(), "DATA RACE") {
		s.t.Error("the agent has a data race")
	}
	if s.t.Failed() && s.stderr.Len() > 0 {
		s.t.Logf("agent: %s", s.stderr)
	}
}

func removeGroups(dir string) {
	for range 200 {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				removeGroups(filepath.Join(dir, e.Name()))
			}
		}
		if err := unix.Rmdir(dir); err == nil || err == unix.ENOENT {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *sandbox) dial(port uint32) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(binary.BigEndian.AppendUint32(nil, port)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// stream opens a raw stream.
func (s *sandbox) stream(req *guestv1.StreamRequest) (*net.UnixConn, *guestv1.StreamReply) {
	s.t.Helper()
	c, err := s.dial(guestwire.PortStream)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if req.Token == nil {
		req.Token = make([]byte, 16)
		_, _ = rand.Read(req.Token)
	}
	if err := guestwire.WriteMessage(c, req); err != nil {
		s.t.Fatal(err)
	}
	var reply guestv1.StreamReply
	if err := guestwire.ReadMessage(c, &reply); err != nil {
		s.t.Fatal(err)
	}
	return c, &reply
}

// output reads everything that a process writes until its end frame.
func (s *sandbox) output(id, exec string) (stdout, stderr []byte) {
	s.t.Helper()
	c, reply := s.stream(&guestv1.StreamRequest{Request: &guestv1.StreamRequest_Output{Output: &guestv1.OutputStream{ContainerId: id, ExecId: exec}}})
	if reply.Code != 0 {
		s.t.Fatalf("output: %s", reply.Message)
	}
	defer func() { _ = c.Close() }()
	var h [guestwire.HeaderSize]byte
	var out [3][]byte
	for {
		if _, err := io.ReadFull(c, h[:]); err != nil {
			s.t.Fatal(err)
		}
		f, err := guestwire.ParseHeader(h[:])
		if err != nil {
			s.t.Fatal(err)
		}
		if f.Stream == guestwire.End {
			return out[1], out[2]
		}
		if f.Offset != uint64(len(out[f.Stream])) {
			s.t.Fatalf("frame of stream %d at %d, expected %d", f.Stream, f.Offset, len(out[f.Stream]))
		}
		b := make([]byte, f.Length)
		if _, err := io.ReadFull(c, b); err != nil {
			s.t.Fatal(err)
		}
		out[f.Stream] = append(out[f.Stream], b...)
		var ack [guestwire.AckSize]byte
		guestwire.PutAck(ack[:], f.Stream, f.Offset+uint64(f.Length))
		if _, err := c.Write(ack[:]); err != nil {
			s.t.Fatal(err)
		}
	}
}

// exit waits for the exit of a process.
func (s *sandbox) exit(id, exec string) *guestv1.Exit {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	events, err := s.agent.Events(ctx, &guestv1.EventsRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	for {
		e, err := events.Recv()
		if err != nil {
			s.t.Fatalf("wait for exit: %v", err)
		}
		if x := e.GetExit(); x != nil && x.ContainerId == id && x.ExecId == exec {
			return x
		}
	}
}

func (s *sandbox) acknowledge(id, exec string) {
	s.t.Helper()
	if _, err := s.agent.Acknowledge(s.t.Context(), &guestv1.AcknowledgeRequest{ContainerId: id, ExecId: exec}); err != nil {
		s.t.Fatal(err)
	}
}

func randomID() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
