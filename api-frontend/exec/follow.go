package exec

import (
	"context"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// follow takes the output of a process, waits for its exit, tells it and acknowledges it.
func (s *Service) follow(e *Exec, agent Agent, output bool) {
	if output {
		s.drain(e, agent)
	}
	select {
	case <-e.exited:
	case <-s.ctx.Done():
		close(e.done)
		return // The process runs on; the next frontend finds it.
	}
	s.containers.Publish(e.container, events.ActionExecDie, map[string]string{
		"execID": e.id, "exitCode": strconv.Itoa(e.code()),
	})
	if e.probe {
		s.forget(e)
	} else {
		s.noteEnded(e)
	}
	close(e.done)
	s.acknowledge(agent, e.container, e.id)
}

// drain takes all output of a process, redialling where a connection broke and the sandbox lives.
func (s *Service) drain(e *Exec, agent Agent) {
	var have attach.Offsets
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		before := have
		err := s.drainOnce(e, agent, &have)
		if err == nil || errdefs.IsNotFound(sandbox.Native(err)) {
			return
		}
		if have != before {
			wait = 10 * time.Millisecond
		}
		s.log.Debug("exec output connection lost", "exec", e.id, "error", err)
		t := time.NewTimer(wait) // The agent lives: nothing signals when it answers again.
		select {
		case <-e.exited:
			// The exit was told after all output was sent, or its sandbox has died: once more, and no more.
			t.Stop()
			if err := s.drainOnce(e, agent, &have); err != nil {
				s.log.Debug("exec output ended early", "exec", e.id, "error", err)
			}
			return
		case <-s.ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (s *Service) drainOnce(e *Exec, agent Agent, have *attach.Offsets) error {
	conn, _, err := agent.OpenStream(s.ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Output{
		Output: &guestv1.OutputStream{
			ContainerId: e.container, ExecId: e.id, StdoutOffset: have.Stdout, StderrOffset: have.Stderr,
		},
	}})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	return attach.Pump(conn, have, e.gate.frame)
}

// acknowledge lets the agent forget a process. A sandbox that has died has forgotten it.
func (s *Service) acknowledge(agent Agent, containerID, execID string) {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	_, err := agent.Acknowledge(ctx, &guestv1.AcknowledgeRequest{ContainerId: containerID, ExecId: execID})
	if err != nil {
		s.log.Debug("acknowledge exec", "exec", execID, "error", err)
	}
}

// maxStrangers bounds the exits of unknown processes that are acknowledged at once: an agent may tell of any number.
const maxStrangers = 256

// Exited is told by the engine that a process other than a container's first has ended.
func (s *Service) Exited(containerID, execID string, x *guestv1.Exit) {
	if e := s.find(execID); e != nil && e.container == containerID {
		e.exit(int(x.Code))
		return
	}
	if s.strangers.Add(1) > maxStrangers { // The agent tells again to the next subscriber.
		s.strangers.Add(-1)
		return
	}
	if !s.goRun(func() {
		defer s.strangers.Add(-1)
		s.abandon(containerID, execID)
	}) {
		s.strangers.Add(-1)
	}
}

// abandon takes and drops what is left of a process that a former frontend started.
func (s *Service) abandon(containerID, execID string) {
	agent, err := s.containers.Agent(containerID)
	if err != nil {
		return // Its sandbox has gone, and the process with it.
	}
	s.acknowledge(agent, containerID, execID)
}

// Adopt takes the output of processes that a former frontend started, so that they do not wait for a reader.
func (s *Service) Adopt(containerID string, execIDs ...string) {
	for _, id := range execIDs {
		e := newExec(containerID)
		e.id, e.probe, e.begun, e.running = id, true, true, true
		e.req.Cmd = []string{""}
		agent, err := s.containers.Agent(containerID)
		if err != nil || s.find(id) != nil || s.add(e) != nil {
			continue
		}
		close(e.started)
		s.goRun(func() { s.follow(e, agent, true) })
	}
}

// ContainerEnded is told by the engine that a container runs no more: what ran beside its first process was killed.
func (s *Service) ContainerEnded(id string) {
	for _, e := range s.of(id) {
		e.mu.Lock()
		begun := e.begun
		e.mu.Unlock()
		if begun {
			e.exit(codeKilled)
		}
	}
}

// ContainerRemoved is told by the engine that a container is gone, and its execs with it.
func (s *Service) ContainerRemoved(id string) {
	s.ContainerEnded(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for execID, e := range s.byID {
		if e.container == id {
			delete(s.byID, execID)
		}
	}
	delete(s.live, id)
}

func (s *Service) of(containerID string) []*Exec {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Exec, 0, len(s.live[containerID]))
	for _, e := range s.live[containerID] {
		list = append(list, e)
	}
	return list
}
