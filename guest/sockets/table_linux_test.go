package sockets

import (
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

type told struct{ announced, settled chan []byte }

func table(t *testing.T) (*Table, *told, string) {
	t.Helper()
	x := &told{make(chan []byte, 10), make(chan []byte, 10)}
	tab := NewTable(func(_, _ string, token []byte) { x.announced <- token }, func(token []byte) { x.settled <- token })
	path := filepath.Join(t.TempDir(), "s")
	if err := tab.Open("c", []Socket{{ID: "host", Path: path, Mode: 0o600}}); err != nil {
		t.Fatal(err)
	}
	return tab, x, path
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pair returns a stream's two ends.
func pair(t *testing.T) (agent, host *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "p"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	host = dial(t, l.Addr().String())
	if agent, err = l.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	return agent, host
}

func TestHalfClosesTravel(t *testing.T) {
	defer goleak.VerifyNone(t)
	tab, x, path := table(t)
	c := dial(t, path)
	token := <-x.announced
	if _, err := tab.Join(token, "other", nil); err == nil {
		t.Error("another container's connection was given away")
	}
	agent, host := pair(t)
	run, err := tab.Join(token, "c", agent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Join(token, "c", agent); err == nil {
		t.Error("a connection was given away twice")
	}
	done := make(chan error, 1)
	go func() { done <- run() }()
	<-x.settled
	for _, d := range [][2]*net.UnixConn{{c, host}, {host, c}} {
		if _, err := d[0].Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		if err := d[0].CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(d[1]); err != nil || string(b) != "text" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, _ = c.Close(), host.Close()
	tab.Close("c")
}

// A stream that is claimed but comes when its connection has ended is told so, and hangs nobody.
func TestStreamThatComesTooLate(t *testing.T) {
	defer goleak.VerifyNone(t)
	tab, x, path := table(t)
	c := dial(t, path)
	run, err := tab.Join(<-x.announced, "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	tab.Close("c")
	<-x.settled
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
	_ = c.Close()
}

func TestCloseEndsWhatIsJoined(t *testing.T) {
	defer goleak.VerifyNone(t)
	tab, x, path := table(t)
	c := dial(t, path)
	agent, host := pair(t)
	run, err := tab.Join(<-x.announced, "c", agent)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- run() }()
	<-x.settled
	tab.Close("c")
	t.Log("the claim ended:", <-done)
	for _, conn := range []*net.UnixConn{c, host} {
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
	if len(tab.waiting) != 0 {
		t.Errorf("%d wait", len(tab.waiting))
	}
}
