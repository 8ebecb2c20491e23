package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/arca-engine/arca/internal/descriptor"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance/testagent"
)

// TestMain lets the test binary be the keeper, the worker and the agent.
func TestMain(m *testing.M) {
	testagent.Main()
	if len(os.Args) > 1 && (os.Args[1] == "keeper" || os.Args[1] == "worker") {
		main()
		return
	}
	os.Exit(m.Run())
}

const workerID = 54321

// helper is a running vmhelper.
type helper struct {
	t    *testing.T
	home string
	cmd  *exec.Cmd
	vmhelperv1.VMHelperClient
}

func startHelper(t *testing.T, home string) *helper {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{t: t, home: home}
	h.cmd = exec.Command(exe, "keeper", "--home", home, "--worker-uid", strconv.Itoa(workerID), "--worker-gid", strconv.Itoa(workerID), "--guest", exe)
	h.cmd.Stderr = os.Stderr
	h.cmd.Env = []string{}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cc, err := grpc.NewClient("unix://"+filepath.Join(home, "run", "vmhelper", "vmhelper.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	h.VMHelperClient = vmhelperv1.NewVMHelperClient(cc)
	if _, err := h.Info(h.ctx(), &vmhelperv1.InfoRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *helper) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	h.t.Cleanup(cancel)
	return ctx
}

func (h *helper) end(sig os.Signal) {
	h.t.Helper()
	_ = h.cmd.Process.Signal(sig)
	err := h.cmd.Wait()
	if sig == unix.SIGTERM && err != nil {
		h.t.Error(err)
	}
}

// worker returns the pid of the worker.
func (h *helper) worker() int {
	h.t.Helper()
	for {
		ms, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", h.cmd.Process.Pid))
		if err != nil {
			h.t.Fatal(err)
		}
		for _, m := range ms {
			b, _ := os.ReadFile(m) // A task may just have ended.
			for _, f := range strings.Fields(string(b)) {
				args, _ := os.ReadFile("/proc/" + f + "/cmdline")
				if strings.HasPrefix(string(args), "arca-vmhelper\x00worker") {
					pid, err := strconv.Atoi(f)
					if err != nil {
						h.t.Fatal(err)
					}
					return pid
				}
			}
		}
	}
}

func (h *helper) boot(id string) *vmhelperv1.CreateSandboxResponse {
	h.t.Helper()
	r, err := h.CreateSandbox(h.ctx(), &vmhelperv1.CreateSandboxRequest{Spec: &vmhelperv1.SandboxSpec{Id: id, Uppers: []string{id}}}, grpc.WaitForReady(true))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// hello talks to a sandbox's agent over a descriptor of its own, which it returns open.
func (h *helper) hello(id string) *grpc.ClientConn {
	h.t.Helper()
	r, err := h.Dial(h.ctx(), &vmhelperv1.DialRequest{SandboxId: id, Port: 1}, grpc.WaitForReady(true))
	if err != nil {
		h.t.Fatal(err)
	}
	conn, err := descriptor.Redeem(h.ctx(), filepath.Join(h.home, "run", "vmhelper", "descriptor.sock"), r.Token)
	if err != nil {
		h.t.Fatal(err)
	}
	cc, err := grpc.NewClient("passthrough:///agent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = cc.Close() })
	h.sayHello(cc)
	return cc
}

func (h *helper) sayHello(cc *grpc.ClientConn) {
	h.t.Helper()
	if _, err := guestv1.NewAgentClient(cc).Hello(h.ctx(), &guestv1.HelloRequest{}); err != nil {
		h.t.Fatal(err)
	}
}

func TestWorkerHoldsNoPrivilege(t *testing.T) {
	h := startHelper(t, t.TempDir())
	defer h.end(unix.SIGTERM)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.worker()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range strings.Split(string(b), "\n") {
		for _, k := range []string{"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:"} {
			if strings.HasPrefix(l, k) {
				got = append(got, strings.Join(strings.Fields(l), " "))
			}
		}
	}
	want, err := os.ReadFile("testdata/worker-status.golden")
	if err != nil {
		t.Fatal(err)
	}
	if g := strings.Join(got, "\n") + "\n"; g != string(want) {
		t.Errorf("got\n%swant\n%s", g, want)
	}
}

func TestSandboxesOutliveTheWorker(t *testing.T) {
	h := startHelper(t, t.TempDir())
	defer h.end(unix.SIGTERM)
	id := conformance.NewID()
	first := h.boot(id)
	cc := h.hello(id)
	pid := h.worker()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := h.Info(h.ctx(), &vmhelperv1.InfoRequest{}, grpc.WaitForReady(true)); err != nil {
		// The call may have been on the connection that died.
		if _, err = h.Info(h.ctx(), &vmhelperv1.InfoRequest{}, grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("a worker answered again after %v", time.Since(start))
	if second := h.boot(id); second.Created || second.Sandbox.BootId != first.Sandbox.BootId || len(second.Attachments) != 1 {
		t.Errorf("first %v, after the worker's death %v", first, second)
	}
	h.sayHello(cc) // The connection of before goes on.
	h.hello(id)
}

func TestSandboxesOutliveTheKeeperAndAreAdopted(t *testing.T) {
	home := t.TempDir()
	h := startHelper(t, home)
	id := conformance.NewID()
	first := h.boot(id)
	cc := h.hello(id)
	h.end(unix.SIGKILL)
	h = startHelper(t, home)
	if second := h.boot(id); second.Created || second.Sandbox.BootId != first.Sandbox.BootId {
		t.Errorf("first %v, after the keeper's death %v", first, second)
	}
	h.sayHello(cc)
	more := conformance.NewID()
	r, err := h.AddDisks(h.ctx(), &vmhelperv1.AddDisksRequest{SandboxId: id, Uppers: []string{more}})
	if err != nil || len(r.Attachments) != 1 {
		t.Errorf("adding to an adopted sandbox: %v %v", r, err)
	}
	watch, err := h.WatchSandboxes(h.ctx(), &vmhelperv1.WatchSandboxesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, watch, vmhelperv1.SandboxEvent_LISTED)
	expect(t, watch, vmhelperv1.SandboxEvent_SYNCED)
	if err := unix.Kill(int(first.Sandbox.Pid), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, watch, vmhelperv1.SandboxEvent_EXITED); e.Reason == "" || e.Sandbox.BootId != first.Sandbox.BootId {
		t.Error(e)
	}
	h.boot(id)
	h.end(unix.SIGTERM)
	for _, pattern := range []string{"/vmhelper/sandboxes/*"} {
		if m, _ := filepath.Glob(home + pattern); len(m) > 0 {
			t.Errorf("left after the end: %v", m)
		}
	}
}

// TestLinksAreOpenedAgain holds that the next keeper finds the links of what it adopts where they are: in the agent's own
// network namespace, and moved into one that the agent has pinned for a container, under another name.
func TestLinksAreOpenedAgain(t *testing.T) {
	home := t.TempDir()
	h := startHelper(t, home)
	id := conformance.NewID()
	r, err := h.CreateSandbox(h.ctx(), &vmhelperv1.CreateSandboxRequest{Spec: &vmhelperv1.SandboxSpec{
		Id: id, Links: []*vmhelperv1.Link{{Name: "l0"}, {Name: "l1", Mtu: 1500}},
	}}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(int(r.Sandbox.Pid))
	script := `set -e
mkdir -p /run/netns; touch /run/netns/` + id + `; unshare --net=/run/netns/` + id + ` true
ip link set l1 netns ` + id + ` name eth0
ip -n ` + id + ` link set eth0 up; ip link set l0 up`
	t.Cleanup(func() { _ = os.Remove("/run/netns/" + id) }) // A file: it is mounted on in the agent's namespace alone.
	in := func(script string) string {
		t.Helper()
		out, err := exec.Command("nsenter", "-t", pid, "-m", "-n", "sh", "-c", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	in(script)
	const look = "ip -o link show dev l0; ip -n %s -o link show dev eth0"
	carriers := func() int { return strings.Count(in(fmt.Sprintf(look, id)), "LOWER_UP") }
	if n := carriers(); n != 2 {
		t.Fatalf("%d of 2 links have a carrier", n)
	}
	h.end(unix.SIGKILL)
	for deadline := time.Now().Add(10 * time.Second); carriers() != 0; {
		// The worker ends when it sees that its keeper is gone.
		if time.Now().After(deadline) {
			t.Fatal("somebody holds the links of a dead keeper")
		}
	}
	h = startHelper(t, home)
	defer h.end(unix.SIGTERM)
	if n := carriers(); n != 2 {
		t.Errorf("%d of 2 links were opened again: %s", n, in(fmt.Sprintf(look, id)))
	}
}

func expect(t *testing.T, w grpc.ServerStreamingClient[vmhelperv1.SandboxEvent], kind vmhelperv1.SandboxEvent_Kind) *vmhelperv1.SandboxEvent {
	t.Helper()
	e, err := w.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != kind {
		t.Fatalf("got %v, want %v", e, kind)
	}
	return e
}
