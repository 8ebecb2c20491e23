package image

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/registry"
)

// flights are the layers that are being made, by the blob's digest: pulls of one layer share one download.
type flights struct {
	mu sync.Mutex
	m  map[digest.Digest]*flight
	wg sync.WaitGroup
}

// sink hears how a layer comes along. It never waits for anybody.
type sink interface {
	Step(id, step string)
	Progress(id, step string, current, total int64)
}

// flight is one layer on its way. It ends when it is done or when the last who waits for it leaves.
type flight struct {
	blob   ocispec.Descriptor
	cancel context.CancelCauseFunc
	done   chan struct{}
	layer  layer // Valid after done, like err.
	err    error

	waiting int // Guarded by flights.mu.

	mu struct {
		sync.Mutex
		sinks map[sink]struct{}
		step  string
		moved bool
		cur   int64
	}
}

// layer is a finished layer.
type layer struct {
	DiffID digest.Digest
	Size   int64
}

var errNobodyWaits = errors.New("nobody waits for this layer any more")

// fly makes the layer of a blob, or joins whoever makes it already. sess is where its bytes come from.
func (s *Service) fly(ctx context.Context, sess *registry.Session, blob ocispec.Descriptor, out sink) (layer, error) {
	for {
		f := s.join(sess, blob, out)
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		s.leave(f, out)
		select {
		case <-f.done:
			if errors.Is(f.err, errNobodyWaits) && ctx.Err() == nil {
				continue // It was being given up when we joined.
			}
			return f.layer, f.err
		default:
			return layer{}, context.Cause(ctx)
		}
	}
}

func (s *Service) join(sess *registry.Session, blob ocispec.Descriptor, out sink) *flight {
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	f := s.flights.m[blob.Digest]
	if f == nil {
		ctx, cancel := context.WithCancelCause(s.root)
		f = &flight{blob: blob, cancel: cancel, done: make(chan struct{})}
		f.mu.sinks = make(map[sink]struct{})
		s.flights.m[blob.Digest] = f
		s.flights.wg.Go(func() {
			f.layer, f.err = s.makeLayer(ctx, sess, f)
			cancel(nil)
			s.flights.mu.Lock()
			delete(s.flights.m, blob.Digest)
			s.flights.mu.Unlock()
			close(f.done)
		})
	}
	f.waiting++
	f.listen(out)
	return f
}

func (s *Service) leave(f *flight, out sink) {
	f.mu.Lock()
	delete(f.mu.sinks, out)
	f.mu.Unlock()
	s.flights.mu.Lock()
	defer s.flights.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel(errNobodyWaits)
	}
}

// listen adds a client, which is told at once where the layer is.
func (f *flight) listen(out sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.sinks[out] = struct{}{}
	if f.mu.step == "" {
		return
	}
	if f.mu.moved {
		out.Progress(short(f.blob.Digest), f.mu.step, f.mu.cur, f.blob.Size)
	} else {
		out.Step(short(f.blob.Digest), f.mu.step)
	}
}

func (f *flight) step(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.step, f.mu.moved = name, false
	for out := range f.mu.sinks {
		out.Step(short(f.blob.Digest), name)
	}
}

func (f *flight) progress(name string, current int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.step, f.mu.moved, f.mu.cur = name, true, current
	for out := range f.mu.sinks {
		out.Progress(short(f.blob.Digest), name, current, f.blob.Size)
	}
}

// short is how a client's terminal names a layer.
func short(d digest.Digest) string { return d.Encoded()[:12] }
