package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/arca-engine/arca/internal/guestwire"
)

// Pump takes the output frames of a process from conn into l, and acknowledges what was written. It returns nil after
// the End frame, when everything is written and acknowledged: then the owner ends the run. Any other end is an error; the
// owner dials again and asks for the output from l.Offsets() on. Pump closes conn.
func Pump(ctx context.Context, conn net.Conn, l *Log) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	acks := newAcker(conn)
	err := pump(ctx, conn, l, acks)
	if err != nil {
		_ = conn.Close() // it has failed already.
	}
	ackErr := acks.finish()
	_ = conn.Close()
	switch {
	case err == nil: // all is written; the agent learns that from Acknowledge too.
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return errors.Join(err, ackErr)
}

func pump(ctx context.Context, conn io.Reader, l *Log, acks *acker) error {
	in := newBorrower(conn)
	defer in.giveBack()
	var chunks []Chunk
	var frame guestwire.Header
	left := 0 // bytes of frame that are still to come.
	for {
		b, err := in.read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read output: %w", err)
		}
		chunks = chunks[:0]
		ended := false
		for len(b) > 0 && !ended {
			if left == 0 {
				if len(b) < guestwire.HeaderSize {
					break
				}
				if frame, err = guestwire.ParseHeader(b); err != nil {
					return fmt.Errorf("read output: %w", err)
				}
				b = b[guestwire.HeaderSize:]
				left = frame.Length
				ended = frame.Stream == guestwire.End
				continue
			}
			k := min(left, len(b))
			chunks = append(chunks, Chunk{frame.Stream, frame.Offset, frame.UnixNano, b[:k]})
			frame.Offset += uint64(k)
			left -= k
			b = b[k:]
		}
		if err := l.Append(ctx, chunks); err != nil {
			return err
		}
		if ended {
			if left > 0 {
				return fmt.Errorf("read output: the last frame has data")
			}
			if err := l.finish(); err != nil {
				return err
			}
		}
		_, stdout, stderr := l.Offsets()
		acks.send(stdout, stderr)
		if ended {
			return nil
		}
		in.keep(b)
	}
}

// finish writes the lines that have no end, because none will come.
func (l *Log) finish() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	return l.finishLocked()
}

// acker sends acknowledgements without holding up the pump: when the agent is slow to read them the newest replaces
// those that wait.
type acker struct {
	next chan [2]uint64
	done chan error
}

func newAcker(w io.Writer) *acker {
	a := &acker{next: make(chan [2]uint64, 1), done: make(chan error, 1)}
	go func() {
		var sent [2]uint64
		var err error
		for off := range a.next {
			var b [2 * guestwire.AckSize]byte
			n := 0
			for i, s := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
				if off[i] > sent[i] {
					guestwire.PutAck(b[n:], s, off[i])
					n += guestwire.AckSize
				}
			}
			if n > 0 && err == nil {
				if _, err = w.Write(b[:n]); err != nil {
					err = fmt.Errorf("acknowledge output: %w", err)
				}
				sent = off
			}
		}
		a.done <- err
	}()
	return a
}

// send replaces the acknowledgement that waits. Only the pump calls it.
func (a *acker) send(stdout, stderr uint64) {
	select {
	case <-a.next:
	default:
	}
	a.next <- [2]uint64{stdout, stderr}
}

// finish sends what waits and ends the goroutine.
func (a *acker) finish() error {
	close(a.next)
	return <-a.done
}
