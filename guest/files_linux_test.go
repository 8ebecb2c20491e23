package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// TestWriteFiles rewrites files that a running container has mounted, and none that a mount of the user hides.
func TestWriteFiles(t *testing.T) {
	id := randomID()
	v, dir := volume(t, "v")
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, append(attachments(t, busybox(t), id), v)...)
	req := request(t, id, "sleep", "1000")
	req.Mount.Mounts = []*guestv1.Mount{{Kind: guestv1.Mount_BIND, Destination: "/etc/resolv.conf", Ref: v.Ref, Subpath: "mine"}}
	req.Mount.Files = []*guestv1.File{
		{Path: "/etc/hosts", Content: []byte("a long first version\n"), Mode: 0o644},
		{Path: "/etc/resolv.conf", Content: []byte("hidden\n"), Mode: 0o644},
	}
	write := func(path, content string) error {
		_, err := s.agent.WriteFiles(t.Context(), &guestv1.WriteFilesRequest{ContainerId: id, Files: []*guestv1.File{{Path: path, Content: []byte(content), Mode: 0o644}}})
		return err
	}
	if err := write("/etc/hosts", "early"); status.Code(err) != codes.NotFound {
		t.Fatalf("before the start: %v", err)
	}
	s.launch(req)
	before, _, _ := s.exec(id, "stat", "-c", "%i", "/etc/hosts")
	for _, content := range []string{"short\n", strings.Repeat("a longer one\n", 1000)} {
		if err := write("/etc/hosts", content); err != nil {
			t.Fatal(err)
		}
		if o, _, _ := s.exec(id, "cat", "/etc/hosts"); o != content {
			t.Fatalf("the container reads %.40q", o)
		}
	}
	if after, _, _ := s.exec(id, "stat", "-c", "%i", "/etc/hosts"); after != before {
		t.Fatal("the container has another file")
	}
	if err := write("/etc/resolv.conf", "new\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "mine")); err != nil || string(b) != "mine\n" {
		t.Fatalf("the user's own file has %q, %v", b, err)
	}
	if err := write("/etc/passwd", "x"); status.Code(err) != codes.NotFound {
		t.Fatalf("a file of the image: %v", err)
	}
	if err := write("/etc/hosts", string(make([]byte, 2<<20))); status.Code(err) != codes.InvalidArgument {
		t.Fatalf("a big file: %v", err)
	}
}

// TestConnect joins a stream to a socket that a container's processes would find at a path, and never to one outside.
func TestConnect(t *testing.T) {
	id := randomID()
	v, dir := volume(t, "v")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { // Ends with the listener. It answers what it has read to the end.
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			_, _ = c.Write(bytes.ToUpper(b))
			_ = c.Close()
		}
	}()
	for name, target := range map[string]string{"link": "/v/s.sock", "up": "../../../../v/s.sock", "host": filepath.Join(dir, "s.sock"), "proc": "/proc/self/root", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "dead.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	s := start(t, append(attachments(t, busybox(t), id), v)...)
	connect := func(path string) (*net.UnixConn, *guestv1.StreamReply) {
		return s.stream(&guestv1.StreamRequest{Request: &guestv1.StreamRequest_Connect{Connect: &guestv1.ConnectStream{ContainerId: id, Path: path}}})
	}
	if _, r := connect("/v/s.sock"); codes.Code(r.Code) != codes.NotFound {
		t.Fatalf("before the start: %v", r)
	}
	req := request(t, id, "sleep", "1000")
	req.Mount.Mounts = []*guestv1.Mount{{Kind: guestv1.Mount_BIND, Destination: "/v", Ref: v.Ref}}
	s.launch(req)
	for _, path := range []string{"/v/s.sock", "/v/link", "/v/up", "/../v/s.sock"} {
		c, r := connect(path)
		if r.Code != 0 {
			t.Fatalf("%s: %v", path, r)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); err != nil || string(b) != "HELLO" {
			t.Fatalf("%s: %q, %v", path, b, err)
		}
	}
	for path, code := range map[string]codes.Code{
		"v/s.sock": codes.InvalidArgument, "/v/nosuch": codes.NotFound, "/v/host": codes.NotFound, "/v/file": codes.FailedPrecondition, "/v": codes.FailedPrecondition,
		"/v/proc/v/s.sock": codes.NotFound, "/v/loop": codes.NotFound, "/v/dead.sock": codes.Unavailable,
	} {
		if _, r := connect(path); codes.Code(r.Code) != code {
			t.Errorf("%s: %v, expected %s", path, r, code)
		}
	}
	s.end(id)
	if _, r := connect("/v/s.sock"); codes.Code(r.Code) != codes.NotFound && codes.Code(r.Code) != codes.FailedPrecondition {
		t.Fatalf("after the end: %v", r)
	}
}
