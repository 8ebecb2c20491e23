package exec

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/internal/guestwire"
	"github.com/arca-engine/arca/internal/join"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func (w *world) create(req container.ExecCreateRequest) string {
	w.t.Helper()
	if req.Cmd == nil {
		req.Cmd = []string{"cmd", "arg"}
	}
	id, err := w.service.Create(w.t.Context(), "web", req)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// client connects a client: its end, and the server's.
func (w *world) client() (*net.UnixConn, join.Stream) {
	w.t.Helper()
	c, s, err := pair(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn), join.Of(s)
}

func (w *world) start(ctx context.Context, id string, o StartOptions) <-chan error {
	done := make(chan error, 1)
	go func() { done <- w.service.Start(ctx, id, o) }()
	return done
}

func (w *world) inspect(id string) container.ExecInspectResponse {
	w.t.Helper()
	x, err := w.service.Inspect(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

var both = container.ExecCreateRequest{AttachStdout: true, AttachStderr: true}

func TestAttached(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int {
		p.print(guestwire.Stdout, "out")
		p.print(guestwire.Stderr, "err")
		return 3
	}
	id := w.create(both)
	if x := w.inspect(id); x.Running || x.ExitCode != nil || x.Pid != 0 || x.DetachKeys == nil {
		t.Errorf("created: %+v", x)
	}
	c, s := w.client()
	done := w.start(t.Context(), id, StartOptions{Client: s, Multiplex: true})
	got, err := io.ReadAll(c)
	want := "\x01\x00\x00\x00\x00\x00\x00\x03out\x02\x00\x00\x00\x00\x00\x00\x03err"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	// The end of the stream comes after the exit code.
	x := w.inspect(id)
	privileged := false
	three := 3
	wantInspect := container.ExecInspectResponse{
		ID: id, ExitCode: &three, Pid: 42, ContainerID: "c1", OpenStdout: true, OpenStderr: true, DetachKeys: []byte{},
		ProcessConfig: &container.ExecProcessConfig{Entrypoint: "cmd", Arguments: []string{"arg"}, Privileged: &privileged, User: "nobody"},
	}
	if diff := cmp.Diff(wantInspect, x); diff != "" {
		t.Error(diff)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := w.told(), "exec_create: cmd arg|exec_start: cmd arg|exec_die 3"; got != want {
		t.Errorf("events %s", got)
	}
	p := w.proc(id)
	if diff := cmp.Diff([]string{"PATH=/bin", "HOSTNAME=h1", "A=1"}, p.spec.Env); diff != "" {
		t.Error(diff)
	}
	if !p.spec.NoNewPrivileges || p.spec.Cwd != "/srv" || p.req.User != "nobody" || p.req.Stdin || p.req.DiscardOutput {
		t.Errorf("request %+v", p.req)
	}
	if err := w.service.Start(t.Context(), id, StartOptions{}); err == nil || err.Error() != "exec command "+id+" has already run" || !errdefs.IsConflict(err) {
		t.Errorf("a second start: %v", err)
	}
	if ids := w.service.IDs("c1"); len(ids) != 0 {
		t.Errorf("live: %v", ids)
	}
}

func TestStdin(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int {
		b, err := io.ReadAll(p.stdin)
		if err != nil {
			return 1
		}
		p.print(guestwire.Stdout, strings.ToUpper(string(b)))
		return 0
	}
	req := both
	req.AttachStdin = true
	id := w.create(req)
	c, s := w.client()
	done := w.start(t.Context(), id, StartOptions{Client: s})
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "HELLO" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestHalfCloseOfATerminal: the end of a client's input is the end of its attachment, because a terminal has no end of
// input; the process goes on.
func TestHalfCloseOfATerminal(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	more := make(chan struct{})
	w.program = func(p *proc) int {
		b := make([]byte, 2)
		_, _ = io.ReadFull(p.stdin, b)
		p.print(guestwire.Stdout, strings.ToUpper(string(b)))
		<-more
		return 0
	}
	id := w.create(container.ExecCreateRequest{AttachStdin: true, AttachStdout: true, Tty: true})
	c, s := w.client()
	done := w.start(t.Context(), id, StartOptions{Client: s})
	if _, err := c.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "HI" {
		t.Errorf("got %q, %v", got, err)
	}
	if x := w.inspect(id); !x.Running {
		t.Errorf("the process has ended: %+v", x)
	}
	close(more)
	<-w.service.find(id).done
}

// TestInputAfterExit: a client that still sends, or says nothing, does not keep an exec that has ended.
func TestInputAfterExit(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(*proc) int { return 0 }
	req := both
	req.AttachStdin = true
	for range 10 {
		c, s := w.client()
		if _, err := c.Write([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		if err := <-w.start(t.Context(), w.create(req), StartOptions{Client: s}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDetached(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	end := make(chan struct{})
	w.program = func(*proc) int { <-end; return 7 }
	req := both
	req.AttachStdin = true
	id := w.create(req)
	if err := w.service.Start(t.Context(), id, StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if x := w.inspect(id); !x.Running || x.ExitCode != nil || x.Pid != 42 {
		t.Errorf("running: %+v", x)
	}
	if err := w.service.Start(t.Context(), id, StartOptions{}); err == nil || err.Error() != "exec command "+id+" is already running" {
		t.Errorf("a second start: %v", err)
	}
	if p := w.proc(id); p.req.Stdin || !p.req.DiscardOutput {
		t.Errorf("request %+v", p.req)
	}
	if got := w.service.IDs("c1"); !slices.Equal(got, []string{id}) {
		t.Errorf("live: %v", got)
	}
	close(end)
	<-w.service.find(id).done
	if x := w.inspect(id); x.Running || *x.ExitCode != 7 {
		t.Errorf("ended: %+v", x)
	}
}

func TestDetachKeys(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	seen := make(chan string, 1)
	more := make(chan struct{})
	w.program = func(p *proc) int {
		b := make([]byte, 2)
		_, _ = io.ReadFull(p.stdin, b)
		seen <- string(b)
		<-more
		p.print(guestwire.Stdout, "nobody reads this")
		return 0
	}
	id := w.create(container.ExecCreateRequest{AttachStdin: true, AttachStdout: true, Tty: true, DetachKeys: "a,b"})
	c, s := w.client()
	done := w.start(t.Context(), id, StartOptions{Client: s, ConsoleSize: &[2]uint{24, 1 << 20}})
	if _, err := c.Write([]byte("axab")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
	if got := <-seen; got != "ax" {
		t.Errorf("the process read %q", got)
	}
	x := w.inspect(id)
	if !x.Running || string(x.DetachKeys) != "ab" || !x.ProcessConfig.Tty {
		t.Errorf("got %+v", x)
	}
	close(more)
	<-w.service.find(id).done
	p := w.proc(id)
	if p.req.ConsoleRows != 24 || p.req.ConsoleColumns != 65535 || !p.spec.Terminal {
		t.Errorf("console of %d x %d", p.req.ConsoleRows, p.req.ConsoleColumns)
	}
	if diff := cmp.Diff([]string{"PATH=/bin", "HOSTNAME=h1", "TERM=xterm", "A=1"}, p.spec.Env); diff != "" {
		t.Error(diff)
	}
	want := "exec_create: cmd arg|exec_start: cmd arg|exec_detach|exec_die 0"
	if got := w.told(); got != want {
		t.Errorf("events %s", got)
	}
}

// TestClientLeaves: the process goes on, gets what its client had sent, and its output is taken and dropped.
func TestClientLeaves(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	left := make(chan struct{})
	said := make(chan string, 1)
	w.program = func(p *proc) int {
		<-left
		b, _ := io.ReadAll(p.stdin)
		said <- string(b)
		for range 100 {
			p.print(guestwire.Stdout, strings.Repeat("x", 64<<10))
		}
		return 0
	}
	req := both
	req.AttachStdin = true
	id := w.create(req)
	c, s := w.client()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := w.start(ctx, id, StartOptions{Client: s})
	if _, err := c.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	cancel(nil) // As the server does.
	close(left)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := <-said; got != "last words" {
		t.Errorf("the process read %q", got)
	}
	<-w.service.find(id).done
	if x := w.inspect(id); x.Running || *x.ExitCode != 0 {
		t.Errorf("got %+v", x)
	}
}

// TestSlowClientLeaves: a write that waits for a client does not outlive the client.
func TestSlowClientLeaves(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int {
		for range 100 {
			p.print(guestwire.Stdout, strings.Repeat("x", 64<<10))
		}
		return 0
	}
	id := w.create(both)
	c, s := w.client()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := w.start(ctx, id, StartOptions{Client: s})
	if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel(nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	<-w.service.find(id).done
}

// TestBrokenOutputConnection: the output goes on where it stopped: nothing lost, nothing twice.
func TestBrokenOutputConnection(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.cut = 4
	w.program = func(p *proc) int {
		for _, text := range strings.Split("one two three four five six", " ") {
			p.print(guestwire.Stdout, text)
		}
		p.print(guestwire.Stderr, "err")
		return 0
	}
	id := w.create(both)
	c, s := w.client()
	done := w.start(t.Context(), id, StartOptions{Client: s})
	got, err := io.ReadAll(c)
	// The exit may be told meanwhile: then one more connection is made and no more, as its sandbox may be dead.
	if err != nil || !strings.HasPrefix("onetwothreefourfivesixerr", string(got)) || len(got) < len("onetwo") {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestStartErrors(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, c := range []struct {
		refuse error
		want   string
		code   int
	}{
		{status.Error(codes.InvalidArgument, `exec failed: unable to start container process: exec: "foo": executable file not found in $PATH`),
			`OCI runtime exec failed: exec failed: unable to start container process: exec: "foo": executable file not found in $PATH: unknown`, 127},
		{status.Error(codes.Unknown, `runc exec failed: unable to start container process: exec: "/x": permission denied`),
			`OCI runtime exec failed: exec failed: unable to start container process: exec: "/x": permission denied: unknown`, 126},
		{status.Error(codes.Unknown, `exec failed: unable to start container process: exec: "/tmp": is a directory`),
			`OCI runtime exec failed: exec failed: unable to start container process: exec: "/tmp": is a directory: unknown: permission denied`, 126},
		{status.Error(codes.InvalidArgument, "unable to find user joe: no matching entries in passwd file"),
			"unable to find user joe: no matching entries in passwd file", 126},
		{status.Error(codes.Internal, "something else"), "something else", 128},
	} {
		w := newWorld(t)
		w.refuse = c.refuse
		id := w.create(both)
		client, s := w.client()
		err := w.service.Start(t.Context(), id, StartOptions{Client: s})
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if x := w.inspect(id); x.Running || x.ExitCode == nil || *x.ExitCode != c.code {
			t.Errorf("%s: %+v", c.want, x.ExitCode)
		}
		// The client is still there, for the sentence.
		if _, err := s.Write([]byte("sentence")); err != nil {
			t.Error(err)
		}
		_ = s.Close()
		if got, err := io.ReadAll(client); err != nil || string(got) != "sentence" {
			t.Errorf("got %q, %v", got, err)
		}
		if err := w.service.Resize(t.Context(), id, 1, 1); err == nil || err.Error() != "exec process is not started" {
			t.Errorf("resize: %v", err)
		}
		w.end()
	}
}

func TestSentences(t *testing.T) {
	w := newWorld(t)
	defer w.end()
	id := w.create(both)
	create := func(ref string, req container.ExecCreateRequest) error {
		_, err := w.service.Create(t.Context(), ref, req)
		return err
	}
	cmd := container.ExecCreateRequest{Cmd: []string{"x"}}
	for _, c := range []struct {
		status record.Status
		do     func() error
		want   string
		class  func(error) bool
	}{
		{record.Running, func() error { return create("web", container.ExecCreateRequest{}) }, "No exec command specified", errdefs.IsInvalidArgument},
		{record.Running, func() error { return create("nobody", cmd) }, "No such container: nobody", errdefs.IsNotFound},
		{record.Running, func() error {
			return create("web", container.ExecCreateRequest{Cmd: []string{"x"}, DetachKeys: "ctrl-!"})
		}, "Invalid escape keys (ctrl-!) provided", errdefs.IsInvalidArgument},
		{record.Exited, func() error { return create("web", cmd) }, "container c1 is not running", errdefs.IsConflict},
		{record.Paused, func() error { return create("web", cmd) }, "Container web is paused, unpause the container before exec", errdefs.IsConflict},
		{record.Restarting, func() error { return create("web", cmd) }, "Container c1 is restarting, wait until the container is running", errdefs.IsConflict},
		{record.Running, func() error { return w.service.Check("nothing") }, "No such exec instance: nothing", errdefs.IsNotFound},
		{record.Exited, func() error { return w.service.Check(id) }, "container c1 is not running", errdefs.IsConflict},
		{record.Paused, func() error { return w.service.Check(id) }, "Container c1 is paused, unpause the container before exec", errdefs.IsConflict},
		{record.Exited, func() error { return w.service.Start(t.Context(), id, StartOptions{}) }, "container c1 is not running", errdefs.IsConflict},
		{record.Running, func() error { _, err := w.service.Inspect(t.Context(), "nothing"); return err }, "No such exec instance: nothing", errdefs.IsNotFound},
	} {
		w.set(c.status)
		err := c.do()
		if err == nil || err.Error() != c.want || !c.class(err) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestResize(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int { <-p.kill; return 0 }
	id := w.create(container.ExecCreateRequest{Tty: true, AttachStdout: true})
	resized := make(chan error, 1)
	go func() { resized <- w.service.Resize(t.Context(), id, 24, 80) }() // It waits for the start.
	if err := w.service.Start(t.Context(), id, StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-resized; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]uint32{{24, 80}}, w.proc(id).sizes); diff != "" {
		t.Error(diff)
	}
}

// TestContainerEnds: what ran in a container that ended was killed, even when its agent could not tell.
func TestContainerEnds(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int { <-p.kill; return 0 }
	detached, attached := w.create(both), w.create(both)
	if err := w.service.Start(t.Context(), detached, StartOptions{}); err != nil {
		t.Fatal(err)
	}
	_, s := w.client()
	done := w.start(t.Context(), attached, StartOptions{Client: s})
	<-w.service.find(attached).started
	w.service.ContainerEnded("c1")
	<-w.service.find(detached).done
	if x := w.inspect(detached); x.Running || *x.ExitCode != 137 {
		t.Errorf("got %+v", x)
	}
	w.proc(attached).stop() // Its agent dies, and the connection with it.
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.service.ContainerRemoved("c1")
	if _, err := w.service.Inspect(t.Context(), detached); !errdefs.IsNotFound(err) {
		t.Errorf("after removal: %v", err)
	}
}

// TestClose: the engine ends, the processes run on, the clients are let go.
func TestClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	w.program = func(p *proc) int { <-p.kill; return 0 }
	req := both
	req.AttachStdin = true
	id := w.create(req)
	c, s := w.client()
	done := w.start(t.Context(), id, StartOptions{Client: s})
	<-w.service.find(id).started
	w.service.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
	if w.proc(id).acked {
		t.Error("an exit that nobody saw was acknowledged")
	}
	w.end()
}

func TestAdopt(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int {
		p.print(guestwire.Stdout, "output of before")
		<-p.kill
		return 0
	}
	id := w.create(both)
	if err := w.service.Start(t.Context(), id, StartOptions{}); err != nil {
		t.Fatal(err)
	}
	w.service.Close()
	w.mu.Lock()
	w.service = New(w, w.service.log)
	w.mu.Unlock()
	w.service.Adopt("c1", id)
	e := w.service.find(id)
	w.proc(id).stop()
	<-e.done
	if w.service.find(id) != nil {
		t.Error("an adopted exec was kept")
	}
	w.service.Exited("c1", id, &guestv1.Exit{}) // Unknown: acknowledged all the same.
}

func TestProbe(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	defer w.end()
	w.program = func(p *proc) int {
		p.print(guestwire.Stdout, "fine")
		return 1
	}
	var out strings.Builder
	begun := false
	code, err := w.service.Run(t.Context(), "c1", []string{"check"}, &out, func() { begun = true })
	if err != nil || code != 1 || out.String() != "fine" || !begun {
		t.Errorf("got %d, %v, %q", code, err, out.String())
	}
	if got, want := w.told(), "exec_create: check |exec_start: check |exec_die 1"; got != want {
		t.Errorf("events %q", got)
	}
	w.service.mu.Lock()
	if len(w.service.byID)+len(w.service.live)+len(w.service.ended) != 0 {
		t.Error("a probe was kept")
	}
	w.service.mu.Unlock()

	w.program = func(p *proc) int { <-p.kill; return 137 }
	cause := errors.New("too slow")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = w.service.Run(ctx, "c1", []string{"check"}, &out, func() { cancel(cause) })
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	w.refuse = errors.New("no")
	if _, err = w.service.Run(t.Context(), "c1", []string{"check"}, &out, func() {}); err == nil {
		t.Error("a probe that did not start")
	}
	w.set(record.Paused)
	if _, err = w.service.Run(t.Context(), "c1", []string{"check"}, &out, func() {}); !errdefs.IsConflict(err) {
		t.Errorf("paused: %v", err)
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(t)
	defer w.end()
	for range maxLive {
		w.create(both)
	}
	if _, err := w.service.Create(t.Context(), "web", container.ExecCreateRequest{Cmd: []string{"x"}}); !errdefs.IsResourceExhausted(err) {
		t.Errorf("one too many: %v", err)
	}
	w.service.ContainerRemoved("c1")
	first := newExec("c1")
	for i := range maxEnded + 10 {
		e := first
		if i > 0 {
			e = newExec("c1")
		}
		if err := w.service.add(e); err != nil {
			t.Fatal(err)
		}
		w.service.noteEnded(e)
	}
	if len(w.service.byID) != maxEnded || len(w.service.ended) != maxEnded || w.service.find(first.id) != nil {
		t.Errorf("%d ended execs are remembered", len(w.service.byID))
	}
	w.service.sweep()
	if len(w.service.byID) != maxEnded {
		t.Error("forgotten at the first look")
	}
	w.service.sweep()
	if len(w.service.byID) != 0 || len(w.service.ended) != 0 {
		t.Error("kept after the second look")
	}
}

func TestEnvironment(t *testing.T) {
	rec := &record.Container{Config: &container.Config{Hostname: "h", Env: []string{"A=1", "B=2", "HOSTNAME=other"}}}
	for _, c := range []struct {
		tty   bool
		extra []string
		want  []string
	}{
		{false, nil, []string{"PATH=" + defaultPath, "HOSTNAME=other", "A=1", "B=2"}},
		{true, []string{"A=3", "B", "C", "D="}, []string{"PATH=" + defaultPath, "HOSTNAME=other", "TERM=xterm", "A=3", "D="}},
	} {
		if diff := cmp.Diff(c.want, environment(rec, c.tty, c.extra)); diff != "" {
			t.Error(diff)
		}
	}
}

// BenchmarkOutput is one exec's output on its way to a client.
func BenchmarkOutput(b *testing.B) {
	data := append(make([]byte, attach.Headroom), make([]byte, 64<<10)...)
	var g gate
	w := &attach.Writer{W: io.Discard, Multiplex: true, Stdout: true}
	g.open(w.Frame)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for range b.N {
		if err := g.frame(guestwire.Stdout, data); err != nil {
			b.Fatal(err)
		}
	}
}
