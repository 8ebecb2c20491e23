package stdio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/guestwire"
)

// ErrReplaced is the end of a reader whose place another one took.
var ErrReplaced = errors.New("another reader has taken the output over")

// batch bounds what one write to a reader carries.
const (
	batchRecords = 32
	batchBytes   = 1 << 20
)

// Check tells whether a reader that has all bytes before the offsets can be served.
func (s *Spool) Check(stdout, stderr uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range map[guestwire.Stream]uint64{guestwire.Stdout: stdout, guestwire.Stderr: stderr} {
		if o > s.total[i] {
			return fmt.Errorf("output from byte %d of stream %d: it has %d: %w", o, i, s.total[i], errdefs.ErrOutOfRange)
		}
	}
	return nil
}

// Serve sends output frames to conn from the offsets on, or from the first byte that is kept, and takes
// acknowledgements from it, until the end frame was
// sent and conn was closed by its peer, or the reader is replaced. It closes conn.
func (s *Spool) Serve(ctx context.Context, conn net.Conn, stdout, stderr uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	if s.cancel != nil {
		s.cancel(ErrReplaced)
	}
	s.cancel = cancel
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Close()
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
	})
	defer stop()
	s.turn.Lock()
	defer s.turn.Unlock()
	defer func() { _ = conn.Close() }()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := &reader{s: s, conn: conn}
	r.sent[guestwire.Stdout], r.sent[guestwire.Stderr] = stdout, stderr
	if err := s.begin(r); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := r.takeAcks()
		cancel(err)
		done <- err
	}()
	err := r.send(ctx)
	if err != nil {
		cancel(err)
	}
	// When the end was sent, the peer closes when it has taken it.
	if acks := <-done; err == nil {
		err = acks
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
		return cause
	}
	return err
}

func (s *Spool) begin(r *reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errdefs.ErrNotFound
	}
	for _, i := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
		r.sent[i] = max(r.sent[i], s.acked[i]) // A reader that keeps nothing need not know what was freed.
		if err := s.acknowledgeLocked(i, r.sent[i]); err != nil {
			return err
		}
	}
	r.next = s.first
	return nil
}

type reader struct {
	s       *Spool
	conn    net.Conn
	next    int64 // number of the next record to look at.
	sent    [3]uint64
	headers [batchRecords][guestwire.HeaderSize]byte
	scratch []byte
	bufs    net.Buffers
}

// takeAcks applies acknowledgements until the peer closes.
func (r *reader) takeAcks() error {
	var buf [64 * guestwire.AckSize]byte
	have := 0
	for {
		n, err := r.conn.Read(buf[have:])
		have += n
		used := 0
		for ; have-used >= guestwire.AckSize; used += guestwire.AckSize {
			stream, offset, perr := guestwire.ParseAck(buf[used:have])
			if perr == nil {
				perr = r.acknowledge(stream, offset)
			}
			if perr != nil {
				return perr
			}
		}
		have = copy(buf[:], buf[used:have])
		if err != nil {
			return err
		}
	}
}

func (r *reader) acknowledge(stream guestwire.Stream, offset uint64) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if offset > r.sent[stream] {
		return fmt.Errorf("acknowledge byte %d of %d sent: %w", offset, r.sent[stream], errdefs.ErrOutOfRange)
	}
	return r.s.acknowledgeLocked(stream, offset)
}

// send sends everything, then the end frame.
func (r *reader) send(ctx context.Context) error {
	for {
		end, err := r.gather(ctx)
		if err != nil {
			return err
		}
		if end {
			var b [guestwire.HeaderSize]byte
			guestwire.Header{Stream: guestwire.End, UnixNano: time.Now().UnixNano()}.Put(b[:])
			_, err := r.conn.Write(b[:])
			return err
		}
		out := r.bufs
		if _, err := out.WriteTo(r.conn); err != nil {
			return err
		}
	}
}

// gather waits for records and collects a batch of them. What it collects stays in the rings because it was not sent,
// so not acknowledged, before.
func (r *reader) gather(ctx context.Context) (end bool, err error) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if s.closed {
			return false, errdefs.ErrNotFound
		}
		r.next = max(r.next-1, s.first) // The record that was the last one then may have grown.
		r.bufs = r.bufs[:0]
		n, bytes := 0, 0
		for ; n < batchRecords && bytes < batchBytes && r.next < s.first+int64(len(s.records)); r.next++ {
			rec := s.records[r.next-s.first]
			skip := int64(0)
			if r.sent[rec.stream] > rec.offset {
				skip = int64(min(r.sent[rec.stream]-rec.offset, uint64(rec.length)))
			}
			left := int(int64(rec.length) - skip)
			if left == 0 {
				continue
			}
			data, err := r.data(rec, skip, left, bytes)
			if err != nil {
				return false, err
			}
			if data == nil {
				break
			}
			guestwire.Header{Stream: rec.stream, Length: left, Offset: rec.offset + uint64(skip), UnixNano: rec.nanos}.Put(r.headers[n][:])
			r.bufs = append(r.bufs, r.headers[n][:], data)
			r.sent[rec.stream] = rec.offset + uint64(rec.length)
			n++
			bytes += left
		}
		if n > 0 {
			return false, nil
		}
		if s.ended {
			return true, nil
		}
		s.cond.Wait()
	}
}

// data returns the bytes of a record, or nil when the batch's scratch has no room for them.
func (r *reader) data(rec record, skip int64, n, used int) ([]byte, error) {
	if !rec.inFile {
		return r.s.mem.at(rec.pos+skip, n), nil
	}
	if r.scratch == nil {
		r.scratch = make([]byte, batchBytes+guestwire.MaxData)
	}
	if used+n > len(r.scratch) {
		return nil, nil
	}
	b := r.scratch[used : used+n]
	if _, err := r.s.file.f.ReadAt(b, (rec.pos+skip)%r.s.file.size); err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	return b, nil
}
