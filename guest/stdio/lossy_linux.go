package stdio

import (
	"bytes"

	"github.com/arca-engine/arca/internal/guestwire"
)

// lossy is how a spool loses output instead of letting its process wait. Lines are lost whole, but for the first one's
// beginning, which may have been taken already. What is lost has no offset: nothing seems to be missing.
type lossy struct {
	limit   uint64  // of bytes that wait.
	torn    [3]bool // what comes is dropped to the end of its line.
	partial [3]bool // the last byte taken was inside a line.
}

// Limit makes the spool drop what comes while more than limit bytes wait. It is called before the first output.
func (s *Spool) Limit(limit uint64) { s.lossy = &lossy{limit: limit} }

func (l *lossy) room(room int64, pending uint64) int64 {
	if pending >= l.limit {
		return 0
	}
	return int64(min(uint64(room), l.limit-pending))
}

// pendingLocked is how many bytes wait.
func (s *Spool) pendingLocked() (n uint64) {
	for i := range s.total {
		n += s.total[i] - s.acked[i]
	}
	return n
}

// keptLocked moves what is taken of b[:n], bytes just read, to its beginning, and tells how much that is.
func (s *Spool) keptLocked(stream guestwire.Stream, b []byte, n int) int {
	l := s.lossy
	if l == nil || n <= 0 {
		return n
	}
	if l.torn[stream] {
		end := bytes.IndexByte(b[:n], '\n')
		if end < 0 {
			return 0
		}
		if !l.partial[stream] {
			end++ // The last line that was taken has its end.
		}
		l.torn[stream] = false
		if n = copy(b, b[end:n]); n == 0 {
			return 0
		}
	}
	l.partial[stream] = b[n-1] != '\n'
	return n
}

// dropped notes that b was lost.
func (s *Spool) dropped(stream guestwire.Stream, b []byte) {
	if len(b) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lossy
	l.torn[stream] = l.partial[stream] || b[len(b)-1] != '\n'
}
