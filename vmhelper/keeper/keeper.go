package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

const (
	maxRequests = 128              // requests of the worker that run at one time.
	steadyLife  = time.Second      // a worker that lived longer is restarted without delay.
	maxBackoff  = 2 * time.Second  // between starts of a worker that dies at once.
	workerGrace = 5 * time.Second  // how long a worker may take to end.
	eventLimit  = 10 * time.Second // how long a worker may leave an event unread.
)

// Backend does the privileged work.
type Backend interface {
	// Call serves a request. The file of the answer, if any, is closed after it was sent when owned is true. Call must
	// validate everything in body: the worker may be compromised.
	Call(ctx context.Context, op uint16, body []byte) (reply wire.Message, file *os.File, owned bool, err error)
}

// Worker is a running worker.
type Worker interface {
	Conn() *wire.Conn // the keeper's end.
	Pid() int
	Kill() error
	Wait() (string, error) // reaps it; called once.
}

// Keeper runs the worker.
type Keeper struct {
	Store   *Store
	Backend Backend
	Start   func() (Worker, error)
	Log     hclog.Logger

	mu   sync.Mutex
	conn *wire.Conn // the current worker's.
}

// Run keeps a worker running until ctx ends, then ends it.
func (k *Keeper) Run(ctx context.Context) error {
	var wait time.Duration
	for ctx.Err() == nil {
		started := time.Now()
		if err := k.runWorker(ctx); err != nil {
			return err
		}
		if time.Since(started) > steadyLife {
			wait = 0
		}
		if wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		}
		wait = min(max(10*time.Millisecond, 2*wait), maxBackoff)
	}
	return nil
}

// runWorker starts one worker and serves it until it has ended and nothing of what it asked for is under way.
func (k *Keeper) runWorker(ctx context.Context) error {
	w, err := k.Start()
	if err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	k.Log.Info("worker started", "pid", w.Pid())
	k.setConn(w.Conn())
	serveCtx, cancel := context.WithCancelCause(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		k.serve(serveCtx, w.Conn())
	}()
	ended := make(chan string, 1)
	go func() {
		status, err := w.Wait()
		if err != nil {
			k.Log.Error("wait for worker", "error", err)
		}
		ended <- status
	}()
	var status string
	select {
	case status = <-ended:
	case <-served: // It closed its socket or broke the protocol.
		status = k.endWorker(w, ended)
	case <-ctx.Done():
		status = k.endWorker(w, ended)
	}
	k.setConn(nil)
	_ = w.Conn().Close()
	cancel(nil)
	<-served
	if ctx.Err() == nil {
		k.Log.Error("worker ended", "status", status)
	}
	return nil
}

// endWorker closes the worker's socket, which it takes as the order to end, and kills it when it does not.
func (k *Keeper) endWorker(w Worker, ended <-chan string) string {
	_ = w.Conn().Close()
	t := time.NewTimer(workerGrace)
	defer t.Stop()
	select {
	case s := <-ended:
		return s
	case <-t.C:
	}
	if err := w.Kill(); err != nil {
		k.Log.Error("kill worker", "error", err)
	}
	return <-ended
}

func (k *Keeper) setConn(c *wire.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn = c
}

// Notify tells the worker of an event. Without a worker it is dropped: the next one asks for the whole state.
func (k *Keeper) Notify(op uint16, m wire.Message) {
	k.mu.Lock()
	c := k.conn
	k.mu.Unlock()
	if c == nil {
		return
	}
	body, err := wire.Marshal(m)
	if err != nil {
		k.Log.Error("encode event", "op", op, "error", err)
		return
	}
	// A worker that does not read is replaced: the next one asks for the whole state.
	t := time.AfterFunc(eventLimit, func() { _ = c.Close() })
	defer t.Stop()
	if err := c.Send(wire.Packet{Kind: wire.Event, Op: op, Body: body}); err != nil {
		k.Log.Debug("send event", "op", op, "error", err)
	}
}

// serve answers requests until the socket ends, and returns when all answers were given.
func (k *Keeper) serve(ctx context.Context, c *wire.Conn) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, maxRequests)
	for {
		p, err := c.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				k.Log.Warn("worker's socket failed", "error", err)
			}
			return
		}
		if p.Kind != wire.Request {
			closeFiles(p.Files)
			k.Log.Warn("the worker broke the protocol", "kind", p.Kind)
			return
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			reply, owned := k.answer(ctx, p)
			if err := c.Send(reply); err != nil && ctx.Err() == nil {
				k.Log.Debug("answer worker", "op", p.Op, "error", err)
			}
			if owned {
				closeFiles(reply.Files)
			}
		})
	}
}

// answer serves one request. owned tells that the files of the answer are to be closed after it was sent.
func (k *Keeper) answer(ctx context.Context, p wire.Packet) (reply wire.Packet, owned bool) {
	reply = wire.Packet{Kind: wire.Reply, Seq: p.Seq}
	defer func() {
		if r := recover(); r != nil {
			k.Log.Error("request panicked", "op", p.Op, "panic", r, "stack", string(debug.Stack()))
			reply.PutError(fmt.Errorf("request %d failed within the keeper: %w", p.Op, errdefs.ErrUnknown))
			owned = false
		}
	}()
	m, file, owned, err := k.dispatch(ctx, p)
	if err == nil && m != nil {
		reply.Body, err = wire.Marshal(m)
	}
	if err != nil {
		if owned && file != nil {
			_ = file.Close()
		}
		reply.PutError(err)
		return reply, false
	}
	if file != nil {
		reply.Files = []*os.File{file}
	}
	return reply, owned
}

func (k *Keeper) dispatch(ctx context.Context, p wire.Packet) (wire.Message, *os.File, bool, error) {
	if p.Op != OpPut || len(p.Files) != 1 {
		closeFiles(p.Files)
		p.Files = nil
	}
	if err := failpoint.Hit("keeper/message"); err != nil {
		closeFiles(p.Files)
		return nil, nil, false, err
	}
	if p.Op >= FirstBackendOp {
		return k.Backend.Call(ctx, p.Op, p.Body)
	}
	var n Name
	if err := wire.Unmarshal(p.Body, &n); err != nil {
		closeFiles(p.Files)
		return nil, nil, false, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if p.Op != OpGet && p.Op != OpNames && strings.HasPrefix(n.Name, Reserved) {
		closeFiles(p.Files)
		return nil, nil, false, fmt.Errorf("descriptor %q is the keeper's own: %w", n.Name, errdefs.ErrPermissionDenied)
	}
	switch p.Op {
	case OpPut:
		if len(p.Files) != 1 {
			return nil, nil, false, fmt.Errorf("store descriptor %q: there is none: %w", n.Name, errdefs.ErrInvalidArgument)
		}
		return nil, nil, false, k.Store.Put(n.Name, p.Files[0])
	case OpGet:
		f, err := k.Store.Get(n.Name)
		return nil, f, false, err
	case OpDrop:
		return nil, nil, false, k.Store.Drop(n.Name)
	case OpNames:
		return &Names{k.Store.Names(n.Name, maxNames)}, nil, false, nil
	}
	return nil, nil, false, fmt.Errorf("unknown request %d: %w", p.Op, errdefs.ErrNotImplemented)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
