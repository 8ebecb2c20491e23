package stdio

import (
	"bytes"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/arca-engine/arca/internal/guestwire"
)

// put offers bytes to a spool as a pump does, and tells whether they were dropped.
func (s *Spool) put(t *testing.T, data string) (full bool) {
	t.Helper()
	for b := []byte(data); len(b) > 0; {
		n, err := s.fill(guestwire.Stdout, func(to []byte) (int, error) { return copy(to, b), nil })
		if err == errFull { //nolint:errorlint // fill returns it bare.
			s.dropped(guestwire.Stdout, b)
			return true
		}
		if err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	return false
}

func (s *Spool) content() string {
	var b bytes.Buffer
	for _, r := range s.records {
		b.Write(s.mem.at(r.pos, int(r.length)))
	}
	return b.String()
}

// TestLossySpoolKeepsLinesApart: what is lost ends with a line, whichever way the reads cut the lines.
func TestLossySpoolKeepsLinesApart(t *testing.T) {
	for _, c := range []struct {
		name         string
		before, lost []string
		after        []string
		want         string
	}{
		{"whole lines", []string{"0123456\n"}, []string{"lost\n", "lost too\n"}, []string{"next\n"}, "next\n"},
		{"torn at the bound", []string{"01234"}, []string{"567\nlost\n"}, []string{"next\n", "last\n"}, "\nlast\n"},
		{"the lost line goes on", []string{"0123456\n"}, []string{"lost"}, []string{" and lost\nnext\n"}, "next\n"},
		{"both", []string{"01234567"}, []string{"89"}, []string{"0", "1\nnext\n"}, "\nnext\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSpool(t.TempDir())
			s.Limit(8)
			for _, b := range c.before {
				if s.put(t, b) {
					t.Fatal("dropped too early")
				}
			}
			for b := "x"; s.pendingLocked() < 8; { // The bound itself is met by bytes of the line that is lost.
				s.put(t, b)
			}
			for _, b := range c.lost {
				if !s.put(t, b) {
					t.Fatalf("%q was taken", b)
				}
			}
			if err := s.Acknowledge(guestwire.Stdout, s.taken(guestwire.Stdout)); err != nil {
				t.Fatal(err)
			}
			s.lossy.limit = 1 << 10
			for _, b := range c.after {
				s.put(t, b)
			}
			if got := s.content(); got != c.want {
				t.Errorf("after the loss: %q, want %q", got, c.want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLossySpoolNeverBlocks: a process whose output nobody takes writes on, and what was taken is whole lines in order.
func TestLossySpoolNeverBlocks(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := NewSpool(t.TempDir())
	const bound = 64 << 10
	s.Limit(bound)
	r, w, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Pump(r, guestwire.Stdout, false) }()
	const lines = 200_000
	for n := range lines {
		if _, err := fmt.Fprintf(w, "line %d\n", n); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	got := s.content()
	if len(got) > bound || len(got) < bound/2 {
		t.Errorf("%d bytes wait", len(got))
	}
	for n, line := range bytes.Split([]byte(got), []byte("\n")) {
		if want := fmt.Sprintf("line %d", n); len(got) > 0 && string(line) != want && !bytes.HasPrefix([]byte(want), line) {
			t.Fatalf("line %d is %q", n, line)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
