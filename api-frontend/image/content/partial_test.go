package content_test

import (
	"bytes"
	_ "crypto/sha512" // So that a digest can be made of it.
	"errors"
	"io"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/image/content"
)

func TestFollowAndCommit(t *testing.T) {
	s, err := content.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789"), 1000)
	d := digest.FromBytes(body)
	p, err := s.Partial(d, int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 1)
	r := p.Reader()
	go func() {
		b, err := io.ReadAll(r)
		if err != nil {
			b = nil
		}
		got <- b
	}()
	if _, err := p.Write(body[:100]); err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a blob: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if b := <-got; b != nil {
		t.Error("a reader took half a blob for whole")
	}
	if p, err = s.Partial(d, int64(len(body))); err != nil || p.Len() != 100 {
		t.Fatalf("continued at %d, %v", p.Len(), err)
	}
	if _, err := p.Write(body[100:]); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("x")); !errdefs.IsInvalidArgument(err) {
		t.Errorf("too long: %v", err)
	}
	if err := errors.Join(p.Verify(), p.Commit()); err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReadBlob(d); err != nil || !bytes.Equal(b, body) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestWrongBytesAreForgotten(t *testing.T) {
	s, err := content.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("right")
	p, err := s.Partial(d, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("wrong")); err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); !errdefs.IsDataLoss(err) || p.Len() != 0 || !p.Restarted() {
		t.Errorf("%v, %d bytes left", err, p.Len())
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(d); !errdefs.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestDigestsAreNoPaths(t *testing.T) {
	s, err := content.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{"", "sha256:../../etc/passwd", "sha256:abc", digest.SHA512.FromString("x"), "/etc/passwd"} {
		if _, err := s.Partial(d, 1); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", d, err)
		}
		if _, err := s.OpenBlob(d); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", d, err)
		}
	}
}
