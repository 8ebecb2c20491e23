package bindsocket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
)

func pair(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c, s
}

// listen serves a host's socket that answers what it was sent, once the client has closed its half.
func listen(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "host.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				b, err := io.ReadAll(c)
				if err == nil {
					_, _ = c.Write(append([]byte("you said "), b...))
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return path
}

type noDialer struct{}

func (noDialer) ConnectSocket(context.Context, string) (net.Conn, error) {
	return nil, errors.New("permission denied")
}

// guest returns the end of a process of the container, and the function that takes up its connection.
func guest(t *testing.T) (*net.UnixConn, func(context.Context) (net.Conn, error)) {
	process, agent := pair(t)
	return process, func(context.Context) (net.Conn, error) { return agent, nil }
}

func TestJoin(t *testing.T) {
	path := listen(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	j := New(Own{Path: path, Next: noDialer{}})
	var wg sync.WaitGroup
	for i := range 20 {
		p, take := guest(t)
		wg.Go(func() {
			if err := j.Join(t.Context(), "c1", path, take); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			said := bytes.Repeat([]byte{byte(i)}, 200_000)
			if _, err := p.Write(said); err != nil {
				t.Error(err)
			}
			if err := p.CloseWrite(); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(p)
			if err != nil || !bytes.Equal(got, append([]byte("you said "), said...)) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if len(j.active) != 0 {
		t.Errorf("left %v", j.active)
	}
}

func TestUnreachableSocketClosesGuest(t *testing.T) {
	defer goleak.VerifyNone(t)
	p, take := guest(t)
	err := New(Own{Path: "/own", Next: noDialer{}}).Join(t.Context(), "c1", "/nowhere", take)
	if err == nil || err.Error() != "connect to /nowhere: permission denied" {
		t.Errorf("got %v", err)
	}
	if got, err := io.ReadAll(p); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestGuestHasGone(t *testing.T) {
	path := listen(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	err := New(Own{Path: path}).Join(t.Context(), "c1", path, func(context.Context) (net.Conn, error) {
		return nil, errdefs.ErrNotFound
	})
	if !errdefs.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestBound(t *testing.T) {
	path := listen(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	j := New(Own{Path: path})
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	begun := make(chan struct{}, MaxConnections)
	for range MaxConnections {
		_, agent := pair(t)
		wg.Go(func() {
			_ = j.Join(ctx, "c1", path, func(context.Context) (net.Conn, error) {
				begun <- struct{}{}
				return agent, nil
			})
		})
	}
	for range MaxConnections {
		<-begun
	}
	_, take := guest(t)
	if err := j.Join(ctx, "c1", path, take); !errdefs.IsResourceExhausted(err) {
		t.Errorf("one too many: %v", err)
	}
	ended := errors.New("the engine ends")
	cancel(ended)
	wg.Wait()
	if len(j.active) != 0 {
		t.Errorf("left %v", j.active)
	}
}
