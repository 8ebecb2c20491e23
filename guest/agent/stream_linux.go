package agent

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/status"

	guestarchive "github.com/arca-engine/arca/guest/archive"
	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// requestTimeout bounds how long a raw stream may take to say what it wants, and to take the reply.
const requestTimeout = 10 * time.Second

// serveStream serves one raw connection.
func (a *Agent) serveStream(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var req guestv1.StreamRequest
	_ = conn.SetDeadline(time.Now().Add(requestTimeout))
	if err := guestwire.ReadMessage(conn, &req); err != nil {
		return
	}
	reply := &guestv1.StreamReply{}
	run, err := a.openStream(ctx, &req, conn, reply)
	if err != nil {
		s, _ := status.FromError(translate(err))
		reply.Code, reply.Message = uint32(s.Code()), guestarchive.Text(s.Message())
	}
	if run == nil {
		_ = guestwire.WriteMessage(conn, reply) // The stream ends here anyhow.
		return
	}
	done := a.results.begin(req.Token)
	if err := guestwire.WriteMessage(conn, reply); err != nil {
		done(err)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	done(run())
}

// openStream checks a request and returns what serves it.
func (a *Agent) openStream(ctx context.Context, req *guestv1.StreamRequest, conn net.Conn, reply *guestv1.StreamReply) (func() error, error) {
	if err := failpoint.Hit("guest/stream"); err != nil {
		return nil, err
	}
	switch r := req.Request.(type) {
	case *guestv1.StreamRequest_Output:
		p, err := a.process(r.Output.ContainerId, r.Output.ExecId)
		if err != nil {
			return nil, err
		}
		if err := p.streams.Spool.Check(r.Output.StdoutOffset, r.Output.StderrOffset); err != nil {
			return nil, err
		}
		return func() error { return p.streams.Spool.Serve(ctx, conn, r.Output.StdoutOffset, r.Output.StderrOffset) }, nil
	case *guestv1.StreamRequest_Stdin:
		p, err := a.process(r.Stdin.ContainerId, r.Stdin.ExecId)
		if err != nil {
			return nil, err
		}
		return func() error {
			return p.streams.Feed(conn, func() bool { return r.Stdin.Confirmed && hungUp(conn) })
		}, nil
	case *guestv1.StreamRequest_ArchiveGet:
		return a.archiveGet(r.ArchiveGet, conn, reply)
	case *guestv1.StreamRequest_ArchivePut:
		return a.archivePut(r.ArchivePut, conn)
	case *guestv1.StreamRequest_Socket:
		return a.sockets.Join(req.Token, r.Socket.ContainerId, conn)
	case *guestv1.StreamRequest_Connect:
		return a.connect(ctx, r.Connect, conn)
	default:
		return nil, fmt.Errorf("stream request %T: %w", req.Request, errdefs.ErrNotImplemented)
	}
}

// results keeps how raw streams ended until somebody asks, at most maxResults of them.
type results struct {
	mu      sync.Mutex
	results map[string]*result
	order   []string
}

type result struct {
	done chan struct{}
	err  error
}

const maxResults = 256

func newResults() *results { return &results{results: map[string]*result{}} }

// begin enters a stream. The returned function tells its end.
func (r *results) begin(token []byte) func(error) {
	if len(token) != 16 {
		return func(error) {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := string(token)
	res := &result{done: make(chan struct{})}
	if r.results[key] == nil {
		r.order = append(r.order, key)
	}
	r.results[key] = res
	for len(r.order) > maxResults {
		delete(r.results, r.order[0])
		r.order = r.order[1:]
	}
	return func(err error) {
		res.err = err
		close(res.done)
	}
}

func (r *results) get(token []byte) *result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.results[string(token)]
}

// StreamResult implements the method of proto/guest/v1.
func (a *Agent) StreamResult(ctx context.Context, req *guestv1.StreamResultRequest) (*guestv1.StreamResultResponse, error) {
	res := a.results.get(req.Token)
	if res == nil {
		return nil, fmt.Errorf("no stream has this token: %w", errdefs.ErrNotFound)
	}
	select {
	case <-res.done:
		return &guestv1.StreamResultResponse{}, res.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// hungUp tells whether the peer has closed the whole connection.
func hungUp(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	var gone bool
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		_, perr := unix.Poll(p, 0)
		gone = perr == nil && p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}
