package attach

import (
	"errors"
	"io"
)

// ErrDetached ends a stdin in which the sequence of detach keys was found.
var ErrDetached = errors.New("read escape sequence")

// Escape looks for the sequence of detach keys in what a terminal sends. The keys of a sequence that is not complete
// yet are held back; they go on when the next byte shows that it was none. As in Docker, the byte that breaks a
// sequence never begins one.
type Escape struct {
	keys []byte
	held int // keys[:held] have been seen and are held back.
}

// NewEscape returns a detector of keys; none gives DefaultKeys.
func NewEscape(keys []byte) *Escape {
	if len(keys) == 0 {
		keys = DefaultKeys
	}
	return &Escape{keys: keys}
}

// Feed takes the next bytes and appends to out those that are for the process. It returns ErrDetached when the sequence
// is complete; what follows the sequence is dropped.
func (e *Escape) Feed(out, in []byte) ([]byte, error) {
	for _, c := range in {
		if c == e.keys[e.held] {
			e.held++
			if e.held == len(e.keys) {
				e.held = 0
				return out, ErrDetached
			}
			continue
		}
		out = append(append(out, e.keys[:e.held]...), c)
		e.held = 0
	}
	return out, nil
}

// Flush appends the keys that were held back: the input has ended.
func (e *Escape) Flush(out []byte) []byte {
	out = append(out, e.keys[:e.held]...)
	e.held = 0
	return out
}

// copyEscape copies src to dst until src ends or the detach keys are found.
func copyEscape(dst io.Writer, src io.Reader, keys []byte, in []byte) error {
	e := NewEscape(keys)
	out := make([]byte, 0, len(in)+len(e.keys))
	for {
		n, err := src.Read(in)
		var detached error
		out, detached = e.Feed(out[:0], in[:n])
		if detached == nil && err != nil {
			out = e.Flush(out)
		}
		if len(out) > 0 {
			if _, werr := dst.Write(out); werr != nil {
				return werr
			}
		}
		switch {
		case detached != nil:
			return detached
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
