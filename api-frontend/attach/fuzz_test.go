package attach

import (
	"bytes"
	"testing"

	"github.com/arca-engine/arca/internal/guestwire"
)

// FuzzPump plays an agent that sends anything: nothing panics, no frame exceeds its bound, offsets never go back.
func FuzzPump(f *testing.F) {
	f.Add(append(header(guestwire.Stdout, 3, 0), "abc"...))
	f.Add(append(append(header(guestwire.Stderr, 1, 7), 'x'), header(guestwire.End, 0, 0)...))
	f.Add(append(header(guestwire.Stdout, 0, ^uint64(0)), header(guestwire.Stdout, 1, 0)...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		var have, last Offsets
		_ = Pump(&agentOf{r: bytes.NewReader(sent)}, &have, func(_ guestwire.Stream, frame []byte) error {
			if len(frame) < Headroom || len(frame) > Headroom+guestwire.MaxData {
				t.Fatalf("a frame of %d bytes", len(frame))
			}
			if have.Stdout < last.Stdout || have.Stderr < last.Stderr {
				t.Fatalf("%+v after %+v", have, last)
			}
			last = have
			return nil
		})
	})
}

// agentOf is an agent that has sent all it will.
type agentOf struct{ r *bytes.Reader }

func (a *agentOf) Read(b []byte) (int, error)  { return a.r.Read(b) }
func (a *agentOf) Write(b []byte) (int, error) { return len(b), nil }
