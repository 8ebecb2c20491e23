package routes

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/exec"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

// fakeExecs knows the exec "e1", which sends back what it gets.
type fakeExecs struct {
	req     container.ExecCreateRequest
	options exec.StartOptions
	size    [2]uint32
	fail    error
}

func (f *fakeExecs) Create(_ context.Context, ref string, req container.ExecCreateRequest) (string, error) {
	f.req = req
	return ref + "-e1", nil
}

func (f *fakeExecs) Inspect(context.Context, string) (container.ExecInspectResponse, error) {
	privileged, code := false, 3
	return container.ExecInspectResponse{
		ID: "e1", ExitCode: &code, ContainerID: "c1", DetachKeys: []byte{},
		ProcessConfig: &container.ExecProcessConfig{Entrypoint: "sh", Arguments: []string{"-c"}, Privileged: &privileged},
	}, nil
}

func (f *fakeExecs) Check(id string) error {
	if id != "e1" {
		return errdefs.ErrNotFound.WithMessage("No such exec instance: " + id)
	}
	return nil
}

func (f *fakeExecs) Start(_ context.Context, _ string, o exec.StartOptions) error {
	f.options = o
	if f.fail != nil || o.Client == nil {
		return f.fail
	}
	defer func() { _ = o.Client.Close() }()
	b, err := io.ReadAll(o.Client)
	if err != nil {
		return err
	}
	_, err = o.Client.Write([]byte(strings.ToUpper(string(b))))
	return err
}

func (f *fakeExecs) Resize(_ context.Context, _ string, height, width uint32) error {
	f.size = [2]uint32{height, width}
	return nil
}

// hijack sends a request, half-closes behind stdin and returns head and stream of the answer.
func hijack(t *testing.T, s *servertest.Server, head, body, stdin string) (status int, header http.Header, stream string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "%s\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if stdin != "" {
		if _, err := c.Write([]byte(stdin)); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

const upgrade = "\r\nConnection: Upgrade\r\nUpgrade: tcp"

func TestExecRoutes(t *testing.T) {
	f := &fakeExecs{}
	s := servertest.New(t, ExecRoutes(f))
	status, body := ask(t, s, "POST", "/v1.51/containers/web/exec", `{"Cmd":["ls"],"ConsoleSize":[1,2],"DetachKeys":"a"}`)
	if status != 201 || string(body) != `{"Id":"web-e1"}`+"\n" || f.req.ConsoleSize == nil || f.req.DetachKeys != "a" {
		t.Errorf("create: %d %s %+v", status, body, f.req)
	}
	speccheck.Answer(t, "POST", "/containers/{id}/exec", status, body)
	if _, _ = ask(t, s, "POST", "/v1.41/containers/web/exec", `{"Cmd":["ls"],"ConsoleSize":[1,2]}`); f.req.ConsoleSize != nil {
		t.Error("a console size before 1.42")
	}
	status, body = ask(t, s, "GET", "/v1.51/exec/e1/json", "")
	speccheck.Answer(t, "GET", "/exec/{id}/json", status, body)
	if status, body = ask(t, s, "POST", "/v1.51/exec/e1/resize?h=24&w=80", ""); status != 200 || f.size != [2]uint32{24, 80} {
		t.Errorf("resize: %d %s %v", status, body, f.size)
	}
	if status, body = ask(t, s, "POST", "/v1.51/exec/e1/start", `{"Detach":true}`); status != 200 || len(body) != 0 || f.options.Client != nil {
		t.Errorf("detached: %d %s", status, body)
	}
}

func TestExecHijack(t *testing.T) {
	for _, c := range []struct {
		head, body  string
		status      int
		contentType string
		multiplex   bool
		console     bool
	}{
		{"POST /v1.51/exec/e1/start HTTP/1.1" + upgrade, `{}`, 101, "application/vnd.docker.multiplexed-stream", true, false},
		{"POST /v1.51/exec/e1/start HTTP/1.1" + upgrade, `{"Tty":true,"ConsoleSize":[1,2]}`, 101, "application/vnd.docker.raw-stream", false, true},
		{"POST /v1.51/exec/e1/start HTTP/1.1" + upgrade, `{"ConsoleSize":[1,2]}`, 101, "application/vnd.docker.multiplexed-stream", true, false},
		{"POST /v1.41/exec/e1/start HTTP/1.1" + upgrade, `{"Tty":true,"ConsoleSize":[1,2]}`, 101, "application/vnd.docker.raw-stream", false, false},
		{"POST /v1.41/exec/e1/start HTTP/1.1" + upgrade, `{}`, 101, "application/vnd.docker.raw-stream", true, false},
		{"POST /v1.51/exec/e1/start HTTP/1.1", `{}`, 200, "application/vnd.docker.raw-stream", true, false},
	} {
		f := &fakeExecs{}
		s := servertest.New(t, ExecRoutes(f))
		status, header, got := hijack(t, s, c.head, c.body, "hello")
		if status != c.status || header.Get("Content-Type") != c.contentType || got != "HELLO" {
			t.Errorf("%s %s: %d %v %q", c.head, c.body, status, header, got)
		}
		if f.options.Multiplex != c.multiplex || (f.options.ConsoleSize != nil) != c.console {
			t.Errorf("%s %s: %+v", c.head, c.body, f.options)
		}
	}
}

func TestExecRefusals(t *testing.T) {
	f := &fakeExecs{fail: errdefs.ErrConflict.WithMessage("exec command e1 has already run")}
	s := servertest.New(t, ExecRoutes(f))
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1.51/containers/web/exec", `{}`, 400, "No exec command specified"},
		{"/v1.51/exec/none/start", `{}`, 404, "No such exec instance: none"},
		{"/v1.51/exec/e1/start", `{"Detach":true}`, 409, "exec command e1 has already run"},
		{"/v1.51/exec/e1/resize", "", 400, `invalid resize height "": invalid syntax`},
		{"/v1.51/exec/e1/resize?h=1&w=-2", "", 400, `invalid resize width "-2": value out of range`},
		{"/v1.51/exec/e1/resize?h=4294967296&w=1", "", 400, `invalid resize height "4294967296": value out of range`},
		{"/v1.51/exec/e1/resize?h=+1&w=1", "", 400, `invalid resize height " 1": invalid syntax`},
	} {
		status, body := ask(t, s, "POST", c.path, c.body)
		wantMessage(t, c.path, status, body, c.status, c.want)
	}
	// After the head, the sentence goes where the output would have gone.
	for body, want := range map[string]string{
		`{}`:           "\x01\x00\x00\x00\x00\x00\x00\x21exec command e1 has already run\r\n",
		`{"Tty":true}`: "exec command e1 has already run\r\n",
	} {
		status, _, got := hijack(t, s, "POST /v1.51/exec/e1/start HTTP/1.1"+upgrade, body, "")
		if status != 101 || got != want {
			t.Errorf("%s: %d %q", body, status, got)
		}
	}
}
