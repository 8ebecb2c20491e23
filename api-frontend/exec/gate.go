package exec

import (
	"sync"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/internal/guestwire"
)

// gate is between the output of a process and its client: it can be shut at any time, and output is dropped then.
type gate struct {
	mu     sync.Mutex
	sink   attach.Sink
	failed chan struct{} // closed when the client did not take its output.
}

// open lets output through to sink.
func (g *gate) open(sink attach.Sink) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sink, g.failed = sink, make(chan struct{})
}

// shut returns when nothing of the output goes to the client any more. The client's connection was closed before.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sink = nil
}

// frame is a Sink that never fails.
func (g *gate) frame(s guestwire.Stream, b []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sink == nil {
		return nil
	}
	if err := g.sink(s, b); err != nil {
		g.sink = nil
		close(g.failed)
	}
	return nil
}
