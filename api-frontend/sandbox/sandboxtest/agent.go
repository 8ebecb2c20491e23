package sandboxtest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// queue is what a subscriber of events has not got yet.
type queue struct {
	mu     sync.Mutex
	events []*guestv1.Event
	ready  chan struct{} // of capacity 1.
	ended  chan struct{} // closed by the next subscriber.
}

func (q *queue) put(ev *guestv1.Event) {
	q.mu.Lock()
	q.events = append(q.events, ev)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (b *Box) publish(ev *guestv1.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscriber != nil {
		b.subscriber.put(ev)
	}
}

// Events implements the API.
func (b *Box) Events(_ *guestv1.EventsRequest, stream guestv1.Agent_EventsServer) error {
	q := &queue{ready: make(chan struct{}, 1), ended: make(chan struct{})}
	b.mu.Lock()
	if b.subscriber != nil {
		close(b.subscriber.ended)
	}
	b.subscriber = q
	for _, p := range b.processes {
		p.mu.Lock()
		if p.exit != nil {
			q.put(&guestv1.Event{Event: &guestv1.Event_Exit{Exit: p.exit}})
		}
		p.mu.Unlock()
	}
	q.put(&guestv1.Event{Event: &guestv1.Event_Synced{Synced: &guestv1.Synced{}}})
	b.mu.Unlock()
	for {
		q.mu.Lock()
		events := q.events
		q.events = nil
		q.mu.Unlock()
		for _, ev := range events {
			if err := stream.Send(ev); err != nil {
				return err
			}
		}
		select {
		case <-q.ready:
		case <-q.ended:
			return status.Error(codes.Aborted, "another subscriber came")
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// Hello implements the API.
func (b *Box) Hello(context.Context, *guestv1.HelloRequest) (*guestv1.HelloResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	resp := &guestv1.HelloResponse{BootId: b.boot}
	for _, p := range b.processes {
		p.mu.Lock()
		resp.Processes = append(resp.Processes, &guestv1.ProcessState{ContainerId: p.Container, Running: p.exit == nil, Paused: p.paused})
		p.mu.Unlock()
	}
	return resp, nil
}

// Start implements the API.
func (b *Box) Start(_ context.Context, req *guestv1.StartRequest) (*guestv1.StartResponse, error) {
	var spec specs.Spec
	if err := json.Unmarshal(req.Spec, &spec); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	id := req.Mount.ContainerId
	if b.processes[id] != nil {
		return nil, status.Error(codes.FailedPrecondition, "the last exit was not acknowledged")
	}
	if i := slices.Index(spec.Process.Args, "missing"); i == 0 {
		return nil, status.Error(codes.InvalidArgument, `runc create failed: unable to start container process: exec: "missing": executable file not found in $PATH`)
	}
	b.mounted[id] = true
	b.network[id] = &Network{Config: req.NetworkConfig, Names: req.Names, Files: map[string]string{}}
	for _, f := range req.Mount.Files {
		b.network[id].Files[f.Path] = string(f.Content)
	}
	p := newProcess(b, id, spec.Process.Args)
	b.processes[id] = p
	b.wg.Go(func() { p.run(b.h.program) })
	return &guestv1.StartResponse{Pid: 4711, StartedUnixNano: time.Now().UnixNano()}, nil
}

func (b *Box) running(id string) (*Process, error) {
	p := b.Process(id)
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	if p == nil || p.exit != nil {
		return nil, status.Error(codes.NotFound, "the process does not run")
	}
	return p, nil
}

// Signal implements the API.
func (b *Box) Signal(_ context.Context, req *guestv1.SignalRequest) (*guestv1.SignalResponse, error) {
	p, err := b.running(req.ContainerId)
	if err == nil {
		p.signal(syscall.Signal(req.Signal))
	}
	return &guestv1.SignalResponse{}, err
}

// Pause implements the API.
func (b *Box) Pause(_ context.Context, req *guestv1.PauseRequest) (*guestv1.PauseResponse, error) {
	p, err := b.running(req.ContainerId)
	if err == nil {
		p.pause(true)
	}
	return &guestv1.PauseResponse{}, err
}

// Resume implements the API.
func (b *Box) Resume(_ context.Context, req *guestv1.ResumeRequest) (*guestv1.ResumeResponse, error) {
	p, err := b.running(req.ContainerId)
	if err == nil {
		p.pause(false)
	}
	return &guestv1.ResumeResponse{}, err
}

// Acknowledge implements the API.
func (b *Box) Acknowledge(_ context.Context, req *guestv1.AcknowledgeRequest) (*guestv1.AcknowledgeResponse, error) {
	if p, _ := b.running(req.ContainerId); p != nil {
		return nil, status.Error(codes.FailedPrecondition, "the process runs")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.processes, req.ContainerId)
	return &guestv1.AcknowledgeResponse{}, nil
}

// Mount implements the API.
func (b *Box) Mount(_ context.Context, req *guestv1.MountRequest) (*guestv1.MountResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mounted[req.ContainerId] = true
	return &guestv1.MountResponse{}, nil
}

// Unmount implements the API.
func (b *Box) Unmount(_ context.Context, req *guestv1.UnmountRequest) (*guestv1.UnmountResponse, error) {
	if p, _ := b.running(req.ContainerId); p != nil {
		return nil, status.Error(codes.FailedPrecondition, "the container runs")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.mounted, req.ContainerId)
	return &guestv1.UnmountResponse{}, nil
}

// Changes implements the API.
func (b *Box) Changes(context.Context, *guestv1.ChangesRequest) (*guestv1.ChangesResponse, error) {
	return &guestv1.ChangesResponse{Changes: []*guestv1.ChangesResponse_Change{{Path: "/new", Kind: guestv1.ChangesResponse_Change_ADDED}}}, nil
}
