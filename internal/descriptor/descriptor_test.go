package descriptor

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"github.com/arca-engine/arca/internal/peercred"
)

func serve(t *testing.T, s *Server, allow peercred.Allow) string {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, allow) }()
	t.Cleanup(func() {
		cancel(nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return sock
}

func me() peercred.Allow { return peercred.UIDs(uint32(os.Getuid())) }

func TestATokenIsGoodOnce(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := NewServer()
	sock := serve(t, s, me())
	back, err := net.Listen("unix", filepath.Join(t.TempDir(), "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	c, err := net.Dial("unix", back.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := back.Accept()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.RegisterConn(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Redeem(t.Context(), sock, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	_ = got.Close()
	if b, err := io.ReadAll(far); err != nil || string(b) != "hello" {
		t.Fatalf("%q %v", b, err) // The end shows that no other copy of the descriptor is left.
	}
	_ = far.Close()
	if _, err := Redeem(t.Context(), sock, token); !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
}

func TestWhatNobodyFetchesIsClosed(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := NewServer()
	s.lifetime = time.Millisecond
	sock := serve(t, s, me())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Register(w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	_ = r.Close()
	if _, err := RedeemFile(t.Context(), sock, token); !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
}

func TestTheTableIsBounded(t *testing.T) {
	s := NewServer()
	defer s.close()
	for range maxPending {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Skip("too few descriptors allowed here")
		}
		if _, err := s.Register(f); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Skip("too few descriptors allowed here")
	}
	if _, err := s.Register(f); !errdefs.IsResourceExhausted(err) {
		t.Fatal(err)
	}
}

func TestAStrangerGetsNothing(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := NewServer()
	sock := serve(t, s, peercred.UIDs(uint32(os.Getuid())+1))
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Register(f)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := RedeemFile(t.Context(), sock, token); err == nil {
		_ = f.Close()
		t.Fatal("a stranger redeemed a token")
	}
}
