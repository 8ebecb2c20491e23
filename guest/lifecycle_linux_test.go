package main

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func (s *sandbox) launch(req *guestv1.StartRequest) {
	s.t.Helper()
	if _, err := s.agent.Start(s.t.Context(), req); err != nil {
		s.t.Fatalf("start: %v", err)
	}
}

// end kills a container and forgets its run.
func (s *sandbox) end(id string) {
	s.t.Helper()
	_, err := s.agent.Signal(s.t.Context(), &guestv1.SignalRequest{ContainerId: id, Signal: 9})
	if err != nil && status.Code(err) != codes.NotFound {
		s.t.Fatal(err)
	}
	s.exit(id, "")
	s.acknowledge(id, "")
}

// exec runs a process in a container to its end.
func (s *sandbox) exec(id string, args ...string) (stdout, stderr string, code uint32) {
	s.t.Helper()
	req := &guestv1.ExecRequest{ContainerId: id, ExecId: randomID(), Process: marshalSpec(s.t, process(args...))}
	if _, err := s.agent.Exec(s.t.Context(), req); err != nil {
		s.t.Fatalf("exec: %v", err)
	}
	o, e := s.output(id, req.ExecId)
	x := s.exit(id, req.ExecId)
	s.acknowledge(id, req.ExecId)
	return string(o), string(e), x.Code
}

func TestStartErrorsAreTheRuntimesSentences(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	for _, c := range []struct {
		name, want string
		code       codes.Code
		change     func(*guestv1.StartRequest)
		args       []string
	}{
		{name: "missing", args: []string{"foo"}, want: `runc create failed: unable to start container process: error during container init: exec: "foo": executable file not found in $PATH`, code: codes.Unknown},
		{name: "missing path", args: []string{"/foo"}, want: `exec: "/foo": stat /foo: no such file or directory`, code: codes.Unknown},
		{name: "permission", args: []string{"/bin/notexec"}, want: `exec: "/bin/notexec": permission denied`, code: codes.Unknown},
		{name: "user", args: []string{"true"}, want: "unable to find user foo: no matching entries in passwd file", code: codes.InvalidArgument, change: func(r *guestv1.StartRequest) { r.User = "foo" }},
		{name: "group", args: []string{"true"}, want: "unable to find group foo: no matching entries in group file", code: codes.InvalidArgument, change: func(r *guestv1.StartRequest) { r.User = "root:foo" }},
		{name: "range", args: []string{"true"}, want: "uids and gids must be in range", code: codes.InvalidArgument, change: func(r *guestv1.StartRequest) { r.User = "4294967296" }},
		{name: "directory", args: []string{"true"}, want: "Cannot mkdir: /etc/passwd is not a directory", code: codes.InvalidArgument, change: func(r *guestv1.StartRequest) {
			sp := spec("true")
			sp.Process.Cwd = "/etc/passwd"
			r.Spec = marshalSpec(t, sp)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := request(t, id, c.args...)
			if c.change != nil {
				c.change(req)
			}
			_, err := s.agent.Start(t.Context(), req)
			if st, _ := status.FromError(err); !strings.Contains(st.Message(), c.want) || st.Code() != c.code {
				t.Fatalf("got %v", err)
			}
		})
	}
	if o, _, x := s.run(request(t, id, "echo", "still works")); o != "still works\n" || x.Code != 0 {
		t.Fatal(o, x)
	}
}

func TestUsersAndDirectories(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	for _, c := range []struct{ user, want string }{
		{"", "uid=0(root) gid=0(root) groups=0(root)"},
		{"alice", "uid=1000(alice) gid=1000(alice) groups=10(wheel),1000(alice)"},
		{"1000:10", "uid=1000(alice) gid=10(wheel) groups=10(wheel)"},
		{"12345", "uid=12345 gid=0(root) groups=0(root)"},
	} {
		req := request(t, id, "id")
		req.User = c.user
		if o, _, _ := s.run(req); strings.TrimSpace(o) != c.want {
			t.Errorf("user %q is %q", c.user, o)
		}
	}
	sp := spec("sh", "-c", "pwd; stat -c %u:%g:%a .; echo $HOME; cat /proc/self/cgroup | head -1; ip addr | grep -c LOOPBACK,UP")
	sp.Process.Cwd = "/new/place"
	req := request(t, id)
	req.User, req.Spec = "alice", marshalSpec(t, sp)
	o, e, _ := s.run(req)
	if l := strings.Split(o, "\n"); len(l) < 5 || l[0] != "/new/place" || l[1] != "0:0:755" || l[2] != "/home/alice" || !strings.HasSuffix(l[3], ":/") || l[4] != "1" {
		t.Fatal(o, e)
	}
}

// result waits for the end of a raw stream.
func (s *sandbox) result(token []byte) {
	s.t.Helper()
	if _, err := s.agent.StreamResult(s.t.Context(), &guestv1.StreamResultRequest{Token: token}); err != nil {
		s.t.Fatal(err)
	}
}

func TestTerminalAndStdin(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	req := request(t, id, "sh", "-c", "read a; echo got $a; read b; stty size; exit 3")
	req.Terminal, req.Stdin, req.ConsoleRows, req.ConsoleColumns = true, true, 33, 77
	s.launch(req)
	in := &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Stdin{Stdin: &guestv1.StdinStream{ContainerId: id}}}
	c, _ := s.stream(in)
	if _, err := io.WriteString(c, "first\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite() // A terminal stays open.
	s.result(in.Token)
	if _, err := s.agent.Resize(t.Context(), &guestv1.ResizeRequest{ContainerId: id, Rows: 10, Columns: 20}); err != nil {
		t.Fatal(err)
	}
	in.Token = nil
	c2, _ := s.stream(in)
	if _, err := io.WriteString(c2, "second\n"); err != nil {
		t.Fatal(err)
	}
	o, _ := s.output(id, "")
	for _, want := range []string{"got first\r\n", "10 20\r\n"} {
		if !strings.Contains(string(o), want) {
			t.Errorf("%q is not in %q", want, o)
		}
	}
	if x := s.exit(id, ""); x.Code != 3 {
		t.Fatal(x)
	}
}

func TestConsoleSize(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	req := request(t, id, "stty", "size")
	req.Terminal, req.ConsoleRows, req.ConsoleColumns = true, 33, 77
	if o, _, _ := s.run(req); o != "33 77\r\n" {
		t.Fatalf("%q", o)
	}
}

func TestStdinStaysOpenUntilHalfClose(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	req := request(t, id, "cat")
	req.Stdin = true
	s.launch(req)
	in := func() (*net.UnixConn, []byte) {
		req := &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Stdin{Stdin: &guestv1.StdinStream{ContainerId: id, Confirmed: true}}}
		c, _ := s.stream(req)
		return c, req.Token
	}
	c, token := in()
	if _, err := io.WriteString(c, "one "); err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // It is cut: stdin stays open.
	s.result(token)
	c, _ = in()
	if _, err := io.WriteString(c, "two"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if o, _ := s.output(id, ""); string(o) != "one two" {
		t.Fatalf("%q", o)
	}
}

func TestSignalsExecPauseAndUpdate(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	sp := spec("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
	sp.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(int64(64 << 20))}
	req := request(t, id)
	req.Spec = marshalSpec(t, sp)
	s.launch(req)
	if o, e, code := s.exec(id, "sh", "-c", "echo hi; echo no >&2; exit 9"); o != "hi\n" || e != "no\n" || code != 9 {
		t.Fatal(o, e, code)
	}
	_, err := s.agent.Exec(t.Context(), &guestv1.ExecRequest{ContainerId: id, ExecId: randomID(), Process: marshalSpec(t, process("nothere"))})
	if err == nil || !strings.Contains(err.Error(), `exec: "nothere": executable file not found in $PATH`) {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.agent.Pause(t.Context(), &guestv1.PauseRequest{ContainerId: id}); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := s.agent.Hello(t.Context(), &guestv1.HelloRequest{}); err != nil || len(h.Processes) != 1 || !h.Processes[0].Paused {
		t.Fatal(h, err)
	}
	if _, err := s.agent.Resume(t.Context(), &guestv1.ResumeRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.agent.Update(t.Context(), &guestv1.UpdateRequest{ContainerId: id, Resources: marshalSpec(t, specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(48 << 20))}})}); err != nil {
		t.Fatal(err)
	}
	st, err := s.agent.Stats(t.Context(), &guestv1.StatsRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	var stats container.StatsResponse
	if err := json.Unmarshal(st.Stats, &stats); err != nil {
		t.Fatal(err)
	}
	if stats.MemoryStats.Limit != 48<<20 || stats.MemoryStats.Usage == 0 || stats.CPUStats.CPUUsage.TotalUsage == 0 || stats.PidsStats.Current == 0 || st.OnlineCpus == 0 || stats.MemoryStats.Stats["pgfault"] == 0 {
		t.Fatalf("%s", st.Stats)
	}
	for _, args := range [][]string{nil, {"aux"}, {"-o", "pid,comm"}, {"-eo", "pid,ppid,user,args"}} {
		ps, err := s.agent.Processes(t.Context(), &guestv1.ProcessesRequest{ContainerId: id, PsArgs: args})
		if err != nil || len(ps.Rows) == 0 || len(ps.Rows[0].Fields) != len(ps.Titles) {
			t.Fatal(ps, err)
		}
	}
	if _, err := s.agent.Processes(t.Context(), &guestv1.ProcessesRequest{ContainerId: id, PsArgs: []string{"-Z"}}); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}
	if _, err := s.agent.Signal(t.Context(), &guestv1.SignalRequest{ContainerId: id, Signal: 15}); err != nil {
		t.Fatal(err)
	}
	if x := s.exit(id, ""); x.Code != 5 {
		t.Fatal(x)
	}
}

func TestKillAllAndExitOfKilled(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	s.launch(request(t, id, "sleep", "1000"))
	if _, err := s.agent.Signal(t.Context(), &guestv1.SignalRequest{ContainerId: id, Signal: 9, All: true}); err != nil {
		t.Fatal(err)
	}
	if x := s.exit(id, ""); x.Code != 137 || x.OomKilled {
		t.Fatal(x)
	}
	// The exit is told again until it is acknowledged, and a new run waits for that.
	if x := s.exit(id, ""); x.Code != 137 {
		t.Fatal(x)
	}
	if _, err := s.agent.Start(t.Context(), request(t, id, "true")); status.Code(err) != codes.FailedPrecondition {
		t.Fatal(err)
	}
	s.acknowledge(id, "")
	s.run(request(t, id, "true"))
	if _, err := s.agent.Unmount(t.Context(), &guestv1.UnmountRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	if h, err := s.agent.Hello(t.Context(), &guestv1.HelloRequest{}); err != nil || len(h.Processes)+len(h.Mounted) != 0 {
		t.Fatal(h, err)
	}
}

func TestOutOfMemory(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	sp := spec("sh", "-c", "tail /dev/zero; echo $?")
	sp.Linux.Resources.Devices = nil
	sp.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(int64(16 << 20))}
	req := request(t, id)
	req.Spec = marshalSpec(t, sp)
	events, err := s.agent.Events(t.Context(), &guestv1.EventsRequest{}) // Before the start: what nobody hears is not told again.
	if err != nil {
		t.Fatal(err)
	}
	if e, err := events.Recv(); err != nil || e.GetSynced() == nil {
		t.Fatalf("%v, %v", e, err)
	}
	s.launch(req)
	said := false
	for {
		e, err := events.Recv()
		if err != nil {
			t.Fatal(err)
		}
		said = said || e.GetOutOfMemory() != nil
		if x := e.GetExit(); x != nil {
			if !x.OomKilled || !said {
				t.Fatalf("exit %v, out of memory told: %v", x, said)
			}
			return
		}
	}
}

// TestStartedProgramsTakeSignals sends a signal right after a start has returned: to a program, and to one below an init.
func TestStartedProgramsTakeSignals(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	for i := range 30 {
		req := request(t, id, "sleep", "1000")
		if req.Init = i%2 == 0; !req.Init { // The first of its own process namespace would take no signal without a handler.
			req.Pid = &guestv1.NamespaceMode{Kind: guestv1.NamespaceMode_SANDBOX}
		}
		s.launch(req)
		if _, err := s.agent.Signal(t.Context(), &guestv1.SignalRequest{ContainerId: id, Signal: 15}); err != nil {
			t.Fatal(err)
		}
		s.output(id, "")
		if x := s.exit(id, ""); x.Code != 143 {
			t.Fatalf("round %d, init: %v: exit %d", i, req.Init, x.Code)
		}
		s.acknowledge(id, "")
	}
}

// TestInitPassesNoDescriptor leaves a program below an init with its standard streams alone.
func TestInitPassesNoDescriptor(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	for _, init := range []bool{true, false} {
		req := request(t, id, "ls", "/proc/self/fd")
		req.Init = init
		if o, e, _ := s.run(req); o != "0\n1\n2\n3\n" { // The last is the directory that is read.
			t.Errorf("init %v: descriptors %q, %q", init, o, e)
		}
	}
}

func TestInitReapsAndPassesOn(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	req := request(t, id, "sh", "-c", "trap 'exit 6' TERM; (sleep 0.1 &) ; ps; while :; do sleep 0.05; done")
	req.Init = true
	s.launch(req)
	time.Sleep(300 * time.Millisecond)
	if _, err := s.agent.Signal(t.Context(), &guestv1.SignalRequest{ContainerId: id, Signal: 15}); err != nil {
		t.Fatal(err)
	}
	o, _ := s.output(id, "")
	if x := s.exit(id, ""); x.Code != 6 || !strings.Contains(string(o), "/sbin/docker-init -- sh") {
		t.Fatal(x, string(o))
	}
}

func TestJoinedNamespaces(t *testing.T) {
	a, b := randomID(), randomID()
	s := start(t, attachments(t, busybox(t), a, b)...)
	s.launch(request(t, a, "sh", "-c", "hostname first; sleep 1000"))
	other := &guestv1.NamespaceMode{Kind: guestv1.NamespaceMode_CONTAINER, ContainerId: a}
	req := request(t, b)
	sp := spec("sh", "-c", "ps; readlink /proc/self/ns/net /proc/1/ns/net; hostname")
	sp.Hostname = ""
	req.Spec, req.Pid, req.Network, req.Uts, req.Ipc = marshalSpec(t, sp), other, other, other, other
	o, e, x := s.run(req)
	if x.Code != 0 || !strings.Contains(o, "sleep 1000") {
		t.Fatal(o, e, x)
	}
	s.end(a)
}
