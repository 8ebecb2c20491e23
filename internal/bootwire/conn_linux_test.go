package bootwire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func pair(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var cs [2]*Conn
	for i, fd := range fds {
		if cs[i], err = New(os.NewFile(uintptr(fd), "pair")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cs[i].Close() })
	}
	return cs[0], cs[1]
}

func TestRequestIsSplitAndJoinedWithItsFiles(t *testing.T) {
	host, agent := pair(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for _, n := range []int{0, 1, perPacket, perPacket + 1, 300} {
		req := &Request{Seq: uint64(n), Type: Boot, Spec: &Spec{ID: "a", Links: []Link{{Name: "l0", MAC: []byte{1, 2, 3, 4, 5, 6}}}}}
		for i := range n {
			a := Attachment{Kind: Upper, ID: fmt.Sprint(i), Ref: "dir:/x", IsDir: true}
			if i%2 == 0 {
				a.File = null
			}
			req.Attachments = append(req.Attachments, a)
		}
		done := make(chan error, 1)
		go func() { done <- host.Send(req) }()
		got, err := agent.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got.Seq != req.Seq || got.Type != Boot || got.Spec.ID != "a" || len(got.Attachments) != n {
			t.Fatalf("got %+v", got)
		}
		for i, a := range got.Attachments {
			if a.ID != fmt.Sprint(i) || (a.File != nil) != (i%2 == 0) {
				t.Fatalf("attachment %d is %+v", i, a)
			}
		}
		got.Close()
		if err := agent.Reply(Response{Seq: got.Seq, Error: "no"}); err != nil {
			t.Fatal(err)
		}
		if r, err := host.ReceiveResponse(); err != nil || r != (Response{Seq: got.Seq, Error: "no"}) {
			t.Fatal(r, err)
		}
	}
}

func TestEndIsEOF(t *testing.T) {
	host, agent := pair(t)
	_ = host.Close()
	if _, err := agent.Receive(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"seq":1,"type":"boot","spec":{},"attachments":[{"kind":"disk","has_file":true}]}`))
	f.Add([]byte(`{"seq":1,"type":"add","more":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		host, agent := pair(t)
		if len(b) == 0 || len(b) > maxPacket {
			return
		}
		if _, err := host.c.Write(b); err != nil {
			return
		}
		_ = host.Close()
		if r, err := agent.Receive(); err == nil {
			r.Close()
		}
		host, agent = pair(t)
		_, _ = agent.c.Write(b)
		_ = agent.Close()
		_, _ = host.ReceiveResponse()
	})
}
