package sandboxtest

import (
	"context"
	"maps"
	"path"

	"google.golang.org/grpc"
)

// Fault is what happens to calls of one method. An error after the effect is an answer that got lost.
type Fault struct {
	Before, After func(ctx context.Context) error
	Count         int // how often; 0: always.
}

// Error is a fault's function that fails with err.
func Error(err error) func(context.Context) error { return func(context.Context) error { return err } }

// Hang is a fault's function that blocks until the caller gives up.
func Hang(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Inject makes a method fail, by its name ("CreateSandbox", "Start"). A zero Fault heals it.
func (h *Helper) Inject(method string, f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.Before == nil && f.After == nil {
		delete(h.faults, method)
		return
	}
	h.faults[method] = &f
}

// Calls tells how often each method was called.
func (h *Helper) Calls() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.calls)
}

// ForgetCalls begins the counts anew.
func (h *Helper) ForgetCalls() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.calls)
}

func (h *Helper) hit(method string) Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[method]++
	f := h.faults[method]
	if f == nil {
		return Fault{}
	}
	if f.Count > 0 {
		if f.Count--; f.Count == 0 {
			delete(h.faults, method)
		}
	}
	return *f
}

func (h *Helper) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	f := h.hit(path.Base(info.FullMethod))
	if f.Before != nil {
		if err := f.Before(ctx); err != nil {
			return nil, err
		}
	}
	resp, err := next(ctx, req)
	if f.After != nil && err == nil {
		err = f.After(ctx)
	}
	return resp, err
}

func (h *Helper) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	f := h.hit(path.Base(info.FullMethod))
	if f.Before != nil {
		if err := f.Before(ss.Context()); err != nil {
			return err
		}
	}
	return next(srv, ss)
}
