package exec

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// proc is a running process of the fake agent.
type proc struct {
	req   *guestv1.ExecRequest
	spec  specs.Process
	stdin io.Reader // ends with the client's.
	kill  chan struct{}

	mu     sync.Mutex
	frames []sent
	at     [3]uint64
	cond   *sync.Cond
	inW    *io.PipeWriter
	acked  bool
	sizes  [][2]uint32
}

type sent struct {
	stream guestwire.Stream
	offset uint64
	data   string
}

// print writes to the spool.
func (p *proc) print(s guestwire.Stream, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, sent{s, p.at[s%3], text})
	p.at[s%3] += uint64(len(text))
	p.cond.Broadcast()
}

// world is a fake engine with one container and a fake agent.
type world struct {
	t   *testing.T
	dir string

	mu      sync.Mutex
	rec     *record.Container
	events  []string
	service *Service
	program func(p *proc) int
	refuse  error
	procs   map[string]*proc
	cut     int // how many output connections break after one frame.
	wg      sync.WaitGroup
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), procs: map[string]*proc{}, rec: &record.Container{
		ID: "c1", Name: "web",
		Config:     &container.Config{Hostname: "h1", User: "nobody", WorkingDir: "/srv", Env: []string{"A=1", "PATH=/bin"}},
		HostConfig: &container.HostConfig{},
		State:      record.State{Status: record.Running},
	}}
	w.service = New(w, hclog.NewNullLogger())
	return w
}

// end closes the service and waits for the fake's goroutines.
func (w *world) end() {
	w.service.Close()
	w.mu.Lock()
	for _, p := range w.procs {
		p.stop()
	}
	w.mu.Unlock()
	w.wg.Wait()
}

func (p *proc) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.kill:
	default:
		close(p.kill)
	}
	_ = p.inW.Close()
}

func (w *world) Record(ref string) (*record.Container, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rec == nil || (ref != "c1" && ref != "web") {
		return nil, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
	}
	return w.rec.Clone(), nil
}

func (w *world) set(s record.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rec = w.rec.Clone()
	w.rec.State.Status = s
}

func (w *world) Agent(string) (Agent, error) { return w, nil }

func (w *world) Process(_ *record.Container, privileged bool) (*specs.Process, error) {
	p := &specs.Process{NoNewPrivileges: true}
	if privileged {
		p.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_SYS_ADMIN"}}
	}
	return p, nil
}

func (w *world) Publish(_ string, action events.Action, extra map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(action)
	if code, ok := extra["exitCode"]; ok {
		text += " " + code
	}
	if len(extra["execID"]) != 64 {
		w.t.Errorf("event without an exec: %s %v", action, extra)
	}
	w.events = append(w.events, text)
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, "|")
}

func (w *world) proc(id string) *proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.procs[id]
}

func (w *world) Exec(_ context.Context, in *guestv1.ExecRequest, _ ...grpc.CallOption) (*guestv1.ExecResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return nil, w.refuse
	}
	r, iw := io.Pipe()
	p := &proc{req: in, stdin: r, inW: iw, kill: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	if err := json.Unmarshal(in.Process, &p.spec); err != nil {
		return nil, err
	}
	w.procs[in.ExecId] = p
	program := w.program
	w.wg.Go(func() {
		code := program(p)
		p.print(guestwire.End, "")
		w.service.Exited("c1", in.ExecId, &guestv1.Exit{ContainerId: "c1", ExecId: in.ExecId, Code: uint32(code)})
	})
	return &guestv1.ExecResponse{Pid: 42}, nil
}

func (w *world) Signal(_ context.Context, in *guestv1.SignalRequest, _ ...grpc.CallOption) (*guestv1.SignalResponse, error) {
	w.proc(in.ExecId).stop()
	return &guestv1.SignalResponse{}, nil
}

func (w *world) Resize(_ context.Context, in *guestv1.ResizeRequest, _ ...grpc.CallOption) (*guestv1.ResizeResponse, error) {
	p := w.proc(in.ExecId)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sizes = append(p.sizes, [2]uint32{in.Rows, in.Columns})
	return &guestv1.ResizeResponse{}, nil
}

func (w *world) Acknowledge(_ context.Context, in *guestv1.AcknowledgeRequest, _ ...grpc.CallOption) (*guestv1.AcknowledgeResponse, error) {
	p := w.proc(in.ExecId)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked = true
	return &guestv1.AcknowledgeResponse{}, nil
}

func (w *world) OpenStream(_ context.Context, req *guestv1.StreamRequest) (net.Conn, *guestv1.StreamReply, error) {
	var id string
	if o := req.GetOutput(); o != nil {
		id = o.ExecId
	} else {
		id = req.GetStdin().ExecId
	}
	p := w.proc(id)
	if p == nil {
		return nil, nil, status.Error(codes.NotFound, "no such process")
	}
	host, agent, err := pair(w.dir)
	if err != nil {
		return nil, nil, err
	}
	if o := req.GetOutput(); o != nil {
		w.wg.Go(func() { w.output(p, agent, [3]uint64{0, o.StdoutOffset, o.StderrOffset}) })
	} else {
		w.wg.Go(func() {
			defer func() { _ = agent.Close() }()
			_, err := io.Copy(p.inW, agent)
			if err == nil && !p.req.Terminal {
				_ = p.inW.Close()
			}
		})
	}
	return host, &guestv1.StreamReply{}, nil
}

// output sends the spool from the given offsets on.
func (w *world) output(p *proc, conn net.Conn, from [3]uint64) {
	defer func() { _ = conn.Close() }()
	acks := make(chan struct{})
	go func() {
		defer close(acks)
		_, _ = io.Copy(io.Discard, conn)
	}()
	defer func() { _ = conn.Close(); <-acks }()
	w.mu.Lock()
	cut := w.cut > 0
	w.cut--
	w.mu.Unlock()
	for i := 0; ; i++ {
		p.mu.Lock()
		for i >= len(p.frames) {
			p.cond.Wait()
		}
		f := p.frames[i]
		p.mu.Unlock()
		end := f.stream == guestwire.End
		if !end && f.offset < from[f.stream] {
			continue
		}
		b := make([]byte, guestwire.HeaderSize)
		guestwire.Header{Stream: f.stream, Length: len(f.data), Offset: f.offset}.Put(b)
		if _, err := conn.Write(append(b, f.data...)); err != nil || end || cut {
			return
		}
	}
}

func pair(dir string) (net.Conn, net.Conn, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, newID()[:8])})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = l.Close() }()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		return nil, nil, err
	}
	s, err := l.AcceptUnix()
	return c, s, errors.Join(err)
}
