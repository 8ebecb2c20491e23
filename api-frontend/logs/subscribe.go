package logs

import (
	"context"
	"io"

	"github.com/arca-engine/arca/internal/guestwire"
)

// SubscribeOptions say what an attached client wants.
type SubscribeOptions struct {
	Stdout, Stderr bool
	Logs           bool // first all that the log holds.
	Raw            bool // no frames: for a terminal.
}

// Subscription is one attached client. It sees bytes as they come, before their line is complete.
type Subscription struct {
	l    *Log
	opts SubscribeOptions
	wake chan struct{}

	// Under Log.mu; while behind, run, off, at and past are Copy's alone.
	run    *run     // nil: the next one that starts.
	next   *joining // the run that started while it reads history, until Copy takes it up.
	seq    uint64
	off    [3]uint64 // next byte of each stream.
	behind bool      // it reads the file.
	reader *fileReader
	at     mark // what of the run lies before the reader's next record.
	past   bool // what comes before at is history of which all is wanted.
	gone   bool
	copies bool // Copy runs and releases the reader itself.
}

// Subscribe joins the active run from now on, or the next one from its start when none is active. With Logs, what is in
// the log comes first and the run follows without a gap. Close must be called.
func (l *Log) Subscribe(o SubscribeOptions) (*Subscription, error) {
	if o.Logs && l.codec == nil {
		return nil, ErrReadNotSupported
	}
	s := &Subscription{l: l, opts: o, wake: make(chan struct{}, 1)}
	var history *fileReader
	if o.Logs {
		var err error
		if history, err = l.openAll(); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		if history != nil {
			history.releaseLocked()
		}
		return nil, errClosed
	}
	l.subs[s] = struct{}{}
	here := l.hereLocked()
	if l.run != nil && !l.run.ended {
		l.joinLocked(s)
	}
	if history != nil {
		s.behind, s.reader, s.past, s.at = true, history, true, here
		if history.run = s.run; s.run == nil {
			history.stop = &here
		}
		s.off = [3]uint64{guestwire.Stdout: here.pos.stdout, guestwire.Stderr: here.pos.stderr}
	}
	return s, nil
}

// joinLocked subscribes s to the current run, from now on.
func (l *Log) joinLocked(s *Subscription) {
	l.run.subs++
	if l.run.ring == nil {
		l.run.ring = newRing(l.hereLocked())
	}
	s.next = &joining{run: l.run, seq: l.run.ring.head, off: l.live, at: l.hereLocked()}
	if s.reader == nil {
		s.takeUpLocked()
	}
}

// joining is a run as it was when a subscription joined it.
type joining struct {
	run *run
	seq uint64
	off [3]uint64
	at  mark
}

// takeUpLocked goes over to the run that has started, if one has. Only Copy may call it while it reads history, which the
// run follows.
func (s *Subscription) takeUpLocked() {
	n := s.next
	if n == nil {
		return
	}
	s.next = nil
	s.run, s.seq, s.off = n.run, n.seq, n.off
	if s.reader != nil {
		s.reader.stop, s.reader.run, s.at = nil, n.run, n.at
	}
}

// leaveRingLocked lets s read the file from m on.
func (l *Log) leaveRingLocked(s *Subscription, m mark) {
	s.behind, s.at = true, m
	s.reader = l.newReaderLocked(m)
	s.reader.run = s.run
}

// Close removes the subscription at once. A Copy that runs returns.
func (s *Subscription) Close() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.gone {
		return
	}
	s.gone = true
	delete(s.l.subs, s)
	run := s.run
	if s.next != nil {
		run = s.next.run
	}
	if run != nil {
		if run.subs--; run.subs == 0 {
			run.ring = nil
		}
	}
	if !s.copies {
		s.releaseLocked()
	}
	s.l.madeSpaceLocked()
	s.l.pruneLocked()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Copy writes the output until the run has ended and all of it was written, or ctx is cancelled, or w fails. It is
// called once, and closes the subscription.
func (s *Subscription) Copy(ctx context.Context, w io.Writer) error {
	defer s.Close()
	if !s.begin() {
		return nil
	}
	defer s.end()
	e := newEmitter(w, !s.opts.Raw)
	for {
		behind, done := s.take(e)
		if len(e.buf) > 0 {
			if err := e.flush(); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		if done {
			return nil
		}
		if behind {
			if err := s.catchUp(ctx, e); err != nil {
				return err
			}
			continue
		}
		e.idle()
		select {
		case <-s.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin tells whether the subscription still stands.
func (s *Subscription) begin() bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.copies = true
	return !s.gone
}

func (s *Subscription) end() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.releaseLocked()
}

func (s *Subscription) releaseLocked() {
	if s.reader != nil {
		s.reader.releaseLocked()
		s.reader = nil
	}
}

// stands takes up what Copy does not know yet, and tells whether the subscription still stands.
func (s *Subscription) stands() bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.takeUpLocked()
	return !s.gone
}

func (s *Subscription) wants(t guestwire.Stream) bool {
	return t == guestwire.Stdout && s.opts.Stdout || t == guestwire.Stderr && s.opts.Stderr
}

// take moves what the ring has for s into e.
func (s *Subscription) take(e *emitter) (behind, done bool) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	switch {
	case s.gone:
		return false, true
	case s.behind:
		return true, false
	case s.run == nil:
		return false, s.l.shut
	}
	r := s.run.ring
	for i := r.find(s.seq); i < len(r.spans) && !e.full(); {
		sp := &r.spans[i]
		from := s.seq - sp.seq
		b := r.at(s.seq, min(sp.n-from, uint64(maxFrame)))
		s.seq += uint64(len(b))
		if s.seq >= sp.seq+sp.n {
			i++
		}
		s.emit(e, sp.stream, sp.offset+from, b)
	}
	s.l.madeSpaceLocked()
	return false, s.seq == r.head && s.run.ended
}

// emit adds what s does not have yet of the bytes at offset.
func (s *Subscription) emit(e *emitter, t guestwire.Stream, offset uint64, b []byte) {
	end := offset + uint64(len(b))
	if end <= s.off[t] {
		return
	}
	if offset < s.off[t] {
		b = b[s.off[t]-offset:]
	}
	s.off[t] = end
	if s.wants(t) {
		e.add(t, b)
	}
}

// catchUp reads the file until the ring has all that follows.
func (s *Subscription) catchUp(ctx context.Context, e *emitter) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !s.stands() {
			return nil
		}
		more, err := s.reader.more()
		if err != nil {
			return err
		}
		if !more {
			if s.rejoin(e) {
				return nil
			}
			continue
		}
		for s.record(e) {
			if e.full() {
				if err := e.flush(); err != nil {
					return err
				}
			}
		}
		if err := e.flush(); err != nil {
			return err
		}
	}
}

// record emits the next whole record that was read.
func (s *Subscription) record(e *emitter) bool {
	r := s.reader
	for r.at < len(r.buf) {
		s.past = s.past && !s.reached()
		rec := &r.rec
		out, n, ok := r.l.codec.next(r.buf[r.at:], r.data[:0], rec, false)
		if n == 0 {
			return false
		}
		r.data = out
		r.at += n
		if !ok {
			continue
		}
		if s.past {
			if s.wants(rec.stream) {
				e.add(rec.stream, out)
			}
			return true
		}
		if rec.hasPos {
			if s.run != nil && rec.pos.run != s.run.number {
				continue // of a run that is not ours.
			}
			s.at.pos = rec.pos
			*s.at.pos.offset(rec.stream) -= uint64(len(out))
		}
		p := s.at.pos.offset(rec.stream)
		s.emit(e, rec.stream, *p, out)
		*p += uint64(len(out))
		return true
	}
	return false
}

// reached tells whether the reader's next record is the first after s.at.
func (s *Subscription) reached() bool {
	r := s.reader
	return r.src.gen > s.at.gen || r.src.gen == s.at.gen && r.off-int64(len(r.buf)-r.at) >= s.at.off
}

// rejoin goes back to the ring when the file has been read to its end: what the ring does not have is then in the
// lines that have no end yet.
func (s *Subscription) rejoin(e *emitter) bool {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.gone {
		return true
	}
	s.takeUpLocked()
	if limit, last := s.reader.limitLocked(); !last || s.reader.off < limit {
		return false
	}
	if s.run != nil {
		s.seq = s.run.ring.head // what it holds is in the file or pending.
		if !s.run.ended {
			for _, t := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
				if from := s.off[t] - *l.written.offset(t); from < uint64(len(l.pending[t])) {
					s.emit(e, t, s.off[t], l.pending[t][from:])
				}
			}
		}
	}
	s.behind, s.past = false, false
	s.releaseLocked()
	return true
}
