package archive

import (
	"io"
	"time"
)

const (
	aheadChunk  = 256 << 10
	aheadChunks = 4
)

// ahead reads a stream on a goroutine of its own, a few chunks ahead of whoever reads from it. The thread that unpacks
// cannot be left by its goroutine: waiting on a socket there costs two switches of threads for every read.
type ahead struct {
	full    chan chunk
	empty   chan []byte
	stopped chan struct{}
	ended   chan struct{} // closed when the goroutine has returned.
	r       io.Reader
	now     chunk
	rest    []byte // of now that was not read yet.
}

type chunk struct {
	b   []byte
	n   int
	err error
}

// readAhead begins to read r; stop follows.
func readAhead(r io.Reader) *ahead {
	a := &ahead{
		full: make(chan chunk, aheadChunks), empty: make(chan []byte, aheadChunks),
		stopped: make(chan struct{}), ended: make(chan struct{}), r: r,
	}
	for range aheadChunks {
		a.empty <- nil
	}
	go a.fill()
	return a
}

func (a *ahead) fill() {
	defer close(a.ended)
	for {
		var c chunk
		select {
		case c.b = <-a.empty:
		case <-a.stopped:
			return
		}
		if c.b == nil {
			c.b = make([]byte, aheadChunk) // Most archives are small.
		}
		for c.n < len(c.b) && c.err == nil {
			var n int
			n, c.err = a.r.Read(c.b[c.n:])
			if c.n += n; len(a.full) == 0 {
				break // Somebody waits.
			}
		}
		a.full <- c // There is room for every chunk.
		if c.err != nil {
			return
		}
	}
}

// Read is not for several goroutines.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.b != nil {
			a.empty <- a.now.b // There is room for every chunk.
		}
		a.now = <-a.full
		a.rest = a.now.b[:a.now.n]
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop ends the reading, of a connection also where it waits for a sender, and waits for its goroutine.
func (a *ahead) stop() {
	close(a.stopped)
	if c, ok := a.r.(interface{ SetReadDeadline(t time.Time) error }); ok {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // Only a connection that is closed refuses, and its reads have ended.
	}
	<-a.ended
}
