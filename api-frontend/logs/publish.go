package logs

import "context"

// publish gives chunks to the subscribers. before is where the log stood without them.
func (l *Log) publish(ctx context.Context, before mark, chunks []Chunk) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.run.ring
	if r != nil && l.codec != nil {
		r.mark(before)
	}
	for _, c := range chunks {
		data, live := c.Data, l.live[c.Stream]
		switch {
		case c.Offset > live && l.codec == nil:
			live = c.Offset // what no one keeps cannot be missing.
		case live-c.Offset >= uint64(len(data)):
			continue
		}
		data = data[live-c.Offset:]
		for r != nil && len(data) > 0 {
			n := min(len(data), len(r.buf)/4)
			if l.codec == nil {
				if err := l.roomLocked(ctx, n); err != nil {
					return err
				}
				if r = l.run.ring; r == nil {
					break // the last subscriber left.
				}
			}
			l.overrunLocked(r, uint64(n))
			r.write(c.Stream, live, data[:n])
			data = data[n:]
			live += uint64(n)
			l.live[c.Stream] = live
		}
		l.live[c.Stream] = live + uint64(len(data))
		if l.codec == nil {
			*l.enc.pos.offset(c.Stream) = l.live[c.Stream]
			*l.written.offset(c.Stream) = l.live[c.Stream]
		}
	}
	l.notifyLocked()
	return nil
}

// overrunLocked sends the subscribers who have not read what n more bytes overwrite to the file.
func (l *Log) overrunLocked(r *ring, n uint64) {
	if l.codec == nil {
		return
	}
	for s := range l.subs {
		if s.run != l.run || s.behind {
			continue
		}
		for r.head+n > s.seq+uint64(len(r.buf)) && len(r.buf) < ringLarge {
			r.grow()
		}
		if s.seq < r.tailAfter(n) {
			l.leaveRingLocked(s, r.before(s.seq))
		}
	}
}

// roomLocked waits until every subscriber has read enough that n bytes overwrite nothing: for the driver none.
func (l *Log) roomLocked(ctx context.Context, n int) error {
	for {
		r, full := l.run.ring, false
		if r == nil {
			return nil
		}
		for s := range l.subs {
			full = full || s.run == l.run && s.seq < r.tailAfter(uint64(n))
		}
		if !full {
			return nil
		}
		if len(r.buf) < ringLarge {
			r.grow()
			if s := r.tailAfter(uint64(n)); s <= r.tail {
				return nil
			}
		}
		l.notifyLocked()
		l.mu.Unlock()
		select {
		case <-l.space:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			return context.Cause(ctx)
		}
	}
}

// madeSpaceLocked tells a waiting writer to look again.
func (l *Log) madeSpaceLocked() {
	if l.codec == nil {
		select {
		case l.space <- struct{}{}:
		default:
		}
	}
}
