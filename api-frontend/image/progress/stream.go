package progress

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
)

// interval is the least time between two lines of the same object and step.
const interval = 100 * time.Millisecond

// Line is one message. Its fields and their order are Docker's.
type Line struct {
	Stream      string               `json:"stream,omitempty"`
	Status      string               `json:"status,omitempty"`
	Detail      *jsonstream.Progress `json:"progressDetail,omitempty"`
	Bar         string               `json:"progress,omitempty"`
	ID          string               `json:"id,omitempty"`
	ErrorDetail *jsonstream.Error    `json:"errorDetail,omitempty"`
	Error       string               `json:"error,omitempty"`
	Aux         any                  `json:"aux,omitempty"`
}

// Stream queues lines for one client and writes them from a goroutine of its own, which Close ends.
type Stream struct {
	w       io.Writer
	onError func(error)
	wake    chan struct{}
	done    chan struct{}

	mu struct {
		sync.Mutex
		pending []Line
		last    map[string]time.Time // By object and step: when its line was queued.
		closed  bool
		began   bool
		failed  error
	}
}

// New starts a stream. onError, which may be nil, is called once when the client can no longer be written to.
func New(w io.Writer, onError func(error)) *Stream {
	s := &Stream{w: w, onError: onError, wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.mu.last = make(map[string]time.Time)
	go s.run()
	return s
}

// Message tells a sentence, of an object or (id empty) of the whole.
func (s *Stream) Message(id, text string) { s.put(Line{ID: id, Status: text}) }

// Text adds plain output.
func (s *Stream) Text(text string) { s.put(Line{Stream: text}) }

// Aux adds a machine-readable value.
func (s *Stream) Aux(v any) { s.put(Line{Aux: v}) }

// Step tells that an object entered a step.
func (s *Stream) Step(id, step string) {
	s.put(Line{ID: id, Status: step, Detail: &jsonstream.Progress{}})
}

// Progress tells how far a step of an object is. Most calls are dropped; the one with current = total is kept.
func (s *Stream) Progress(id, step string, current, total int64) {
	s.put(Line{ID: id, Status: step, Detail: &jsonstream.Progress{Current: current, Total: total}})
}

// Fail tells an error. Docker's clients end with it.
func (s *Stream) Fail(err error) {
	s.put(Line{Error: err.Error(), ErrorDetail: &jsonstream.Error{Message: err.Error()}})
}

func (s *Stream) put(l Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed || s.mu.failed != nil {
		return
	}
	if moving := l.Detail != nil && l.Detail.Current > 0; moving {
		key := l.ID + "\x00" + l.Status
		now := time.Now()
		if l.Detail.Current != l.Detail.Total && now.Sub(s.mu.last[key]) < interval {
			return
		}
		s.mu.last[key] = now
		if n := len(s.mu.pending); n > 0 && s.replaceLocked(l) {
			return
		}
	}
	s.mu.began = true
	s.mu.pending = append(s.mu.pending, l)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// replaceLocked puts l in the place of the pending line of its object, if that is of the same step.
func (s *Stream) replaceLocked(l Line) bool {
	for i := len(s.mu.pending) - 1; i >= 0; i-- {
		if p := &s.mu.pending[i]; p.ID == l.ID {
			if p.Status != l.Status || p.Detail == nil {
				return false
			}
			*p = l
			return true
		}
	}
	return false
}

func (s *Stream) run() {
	defer close(s.done)
	for range s.wake {
		for {
			s.mu.Lock()
			lines, closed := s.mu.pending, s.mu.closed
			s.mu.pending = nil
			s.mu.Unlock()
			if len(lines) > 0 {
				if err := write(s.w, lines); err != nil {
					s.fail(err)
					return
				}
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

func (s *Stream) fail(err error) {
	s.mu.Lock()
	s.mu.failed = err
	s.mu.pending = nil
	s.mu.Unlock()
	if s.onError != nil {
		s.onError(err)
	}
}

func write(w io.Writer, lines []Line) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(true)
	for _, l := range lines {
		if l.Detail != nil && l.Detail.Current > 0 {
			l.Bar = bar(l.Detail.Current, l.Detail.Total)
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1)
		b.WriteString("\r\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Close writes what is pending and waits for the goroutine.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.failed
}
