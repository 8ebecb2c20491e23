package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/arca-engine/arca/internal/guestwire"
)

// ReadOptions say which records are wanted and how.
type ReadOptions struct {
	Since, Until   time.Time // the zero time: no bound.
	Tail           int       // the last records, counted before all other options; All or any negative number: all.
	Follow         bool      // go on to the end of the active run. Without one it means nothing, as in Docker.
	Timestamps     bool
	Details        bool // the attributes before each record.
	Stdout, Stderr bool
	Raw            bool // no frames: for a terminal.
}

const timeFixed = "2006-01-02T15:04:05.000000000Z07:00"

// All is the Tail of those who want everything.
const All = -1

// Readable tells why the log cannot be read: ErrReadNotSupported, or nothing.
func (l *Log) Readable() error {
	if l.codec == nil {
		return ErrReadNotSupported
	}
	return nil
}

// Read writes records to w in large pieces. It ends when all is written; when it follows, also when the bound Until has
// passed; and when ctx is cancelled, with ctx's cause.
func (l *Log) Read(ctx context.Context, o ReadOptions, w io.Writer) error {
	if l.codec == nil {
		return ErrReadNotSupported
	}
	r, err := l.openAll()
	if err != nil {
		return err
	}
	defer r.close()
	q := query{l: l, o: o, r: r, e: newEmitter(w, !o.Raw)}
	q.plain = !o.Timestamps && !o.Details && o.Since.IsZero() && o.Until.IsZero()
	q.since, q.until = bound(o.Since, -1<<63), bound(o.Until, 1<<63-1)
	l.mu.Lock()
	if q.run = l.run; !o.Follow || q.run == nil || q.run.ended {
		q.run = nil
		here := l.hereLocked()
		r.stop = &here
	}
	r.run = q.run
	l.mu.Unlock()
	if q.run != nil && !o.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, o.Until.Add(time.Millisecond), errUntil)
		defer cancel()
	}
	if err := q.tail(o.Tail); err != nil {
		return err
	}
	if o.Tail < 0 {
		q.skipOld()
	}
	err = q.copy(ctx)
	if errors.Is(err, errUntil) {
		return q.e.flush()
	}
	return err
}

var errUntil = errors.New("until has passed")

func bound(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	if s := t.Unix(); s > 1<<33 {
		return 1<<63 - 1
	} else if s < -1<<33 {
		return -1 << 63
	}
	return t.UnixNano()
}

// query is one reading of a log.
type query struct {
	l            *Log
	o            ReadOptions
	r            *fileReader
	e            *emitter
	run          *run // that is followed.
	plain        bool
	since, until int64
	skip         int64 // records to leave out at the start.
	nano         int64 // that stamp was made of.
	stamp        []byte
	attrs        []byte // that details was made of.
	details      []byte
}

// copy writes all that is there, and waits for more when it follows.
func (q *query) copy(ctx context.Context) error {
	for {
		more, err := q.r.more()
		if err != nil {
			return err
		}
		if more {
			done, err := q.records()
			if err != nil || done {
				return errors.Join(err, q.e.flush())
			}
			if q.e.full() || q.run != nil {
				err = q.e.flush()
			}
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := q.e.flush(); err != nil {
			return err
		}
		again, c := q.wait()
		if again {
			continue
		}
		if c == nil {
			return nil
		}
		q.e.idle()
		q.r.idle()
		select {
		case <-c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// wait returns a channel that is closed when there may be more; nil when there will not.
func (q *query) wait() (again bool, _ <-chan struct{}) {
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	if q.run == nil {
		return false, nil
	}
	if limit, last := q.r.limitLocked(); !last || q.r.off < limit {
		return true, nil
	}
	if q.run.ended {
		return false, nil
	}
	return false, q.l.waitLocked()
}

// records writes the whole records that were read. It tells true after one that is later than wanted.
func (q *query) records() (done bool, err error) {
	r, e, codec := q.r, q.e, q.l.codec
	rec := &r.rec
	for r.at < len(r.buf) {
		if e.full() {
			if err := e.flush(); err != nil {
				return false, err
			}
		}
		if q.plain && q.skip == 0 {
			start := len(e.buf)
			out, n, ok := codec.next(r.buf[r.at:], e.buf, rec, false)
			if n == 0 {
				return false, nil
			}
			r.at += n
			if !ok || !q.wants(rec.stream) {
				continue
			}
			e.buf = out
			e.claim(rec.stream, start, true)
			continue
		}
		out, n, ok := codec.next(r.buf[r.at:], r.data[:0], rec, true)
		if n == 0 {
			return false, nil
		}
		r.data = out
		r.at += n
		switch {
		case !ok:
		case q.skip > 0:
			q.skip--
		case rec.nano < q.since:
		case rec.nano > q.until:
			return true, nil
		case q.wants(rec.stream):
			start := len(e.buf)
			e.buf = append(q.head(e.buf, rec), out...)
			e.claim(rec.stream, start, !q.o.Timestamps && !q.o.Details)
		}
	}
	return false, nil
}

func (q *query) wants(s guestwire.Stream) bool {
	return s == guestwire.Stdout && q.o.Stdout || s == guestwire.Stderr && q.o.Stderr
}

// head appends what stands before a record.
func (q *query) head(dst []byte, rec *record) []byte {
	if q.o.Timestamps {
		if rec.nano != q.nano || len(q.stamp) == 0 {
			q.nano = rec.nano
			q.stamp = time.Unix(0, rec.nano).UTC().AppendFormat(q.stamp[:0], timeFixed)
			q.stamp = append(q.stamp, ' ')
		}
		dst = append(dst, q.stamp...)
	}
	if q.o.Details {
		if string(rec.attrs) != string(q.attrs) {
			q.attrs = append(q.attrs[:0], rec.attrs...)
			q.details = appendDetails(q.details[:0], rec.attrs)
		}
		dst = append(append(dst, q.details...), ' ')
	}
	return dst
}

// appendDetails writes attributes as Docker does: sorted, escaped as in a query.
func appendDetails(dst, attrs []byte) []byte {
	var m map[string]string
	if len(attrs) == 0 || json.Unmarshal(attrs, &m) != nil {
		return dst
	}
	for i, k := range sortedKeys(m) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, url.QueryEscape(k)...)
		dst = append(dst, '=')
		dst = append(dst, url.QueryEscape(m[k])...)
	}
	return dst
}

// tail moves the reader to the last n records.
func (q *query) tail(n int) error {
	r := q.r
	if n < 0 {
		return nil
	}
	q.l.mu.Lock()
	all := append([]*source{r.src}, r.queue...)
	last := all[len(all)-1]
	size := last.seg.size
	q.l.mu.Unlock()
	start, off := len(all)-1, size
	for i := len(all) - 1; i >= 0 && n > 0; i-- {
		s := all[i]
		var found int
		var err error
		switch {
		case s.z != nil:
			if found, err = q.count(s); err != nil {
				return err
			}
			q.skip, off = int64(max(found-n, 0)), 0
			found = min(found, n)
		case s == last:
			off, found, err = q.l.codec.tail(s.f, size, n)
		default:
			off, found, err = q.l.codec.tail(s.f, s.size, n)
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		start = i
		n -= found
	}
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	for range start {
		r.advanceLocked()
	}
	r.off = off
	return nil
}

// skipOld leaves out the compressed files that end before anything that is wanted.
func (q *query) skipOld() {
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	for r := q.r; r.src.z != nil && !r.src.meta.LastTime.IsZero() && r.src.meta.LastTime.Before(q.o.Since); {
		r.advanceLocked()
	}
}

// count tells how many records a compressed file has; one that does not say it is read twice.
func (q *query) count(s *source) (int, error) {
	if s.meta.Records > 0 {
		return int(s.meta.Records), nil
	}
	sc := scanner{codec: q.l.codec}
	if err := sc.run(s.z, false); err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	if err := s.z.Reset(s.f); err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	return int(sc.count), nil
}
