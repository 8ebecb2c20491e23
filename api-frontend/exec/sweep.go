package exec

import (
	"context"
	"time"
)

// sweepEvery is how often ended execs are looked at: the first look marks one, the second forgets it, as in Docker.
const sweepEvery = 5 * time.Minute

// Sweep forgets execs some minutes after their end, until ctx ends.
func (s *Service) Sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.sweep()
		}
	}
}

func (s *Service) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.ended[:0]
	for _, e := range s.ended {
		e.mu.Lock()
		gone := e.canRemove
		e.canRemove = true
		e.mu.Unlock()
		if gone {
			delete(s.byID, e.id)
		} else if s.byID[e.id] == e {
			kept = append(kept, e)
		}
	}
	clear(s.ended[len(kept):])
	s.ended = kept
}
