package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// controlPath is where the control API is served in the helper's container.
const controlPath = "/run/arca/control.sock"

const (
	// callLimit bounds a call that a start waits for.
	callLimit = time.Second
	// resyncLimit bounds a resync: it waits for interfaces and databases.
	resyncLimit = 20 * time.Second

	// resyncPause is the time between two resyncs of which the first failed.
	resyncPause = 100 * time.Millisecond

	healthEvery = time.Second
	healthLimit = 2 * time.Second
	// maxSilent is how many questions for its health a helper may leave unanswered.
	maxSilent = 2
	// maxUnwell is how long one of its parts may be out of order: it restarts them itself.
	maxUnwell = 20 * time.Second
	// briefly is how long it may be before people are told.
	briefly = 5 * time.Second
)

// control is the connection to the control API of a helper that runs.
type control struct {
	networkv1.ControlClient
	conn *grpc.ClientConn
}

// dialControl prepares a connection through the agent of the helper's sandbox.
func (h *helper) dialControl(box *sandbox.Box) (*control, error) {
	conn, err := grpc.NewClient("passthrough:///helper",
		// The stream is the kernel's, through the agent: nobody else can be on it.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, _, err := box.Agent().OpenStream(ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Connect{
				Connect: &guestv1.ConnectStream{ContainerId: h.id, Path: controlPath},
			}})
			if err != nil {
				// A status of the agent's own is not one of this connection's: gRPC would take it for one and give up.
				return nil, errors.New(err.Error())
			}
			return c, nil
		}),
		grpc.WithIdleTimeout(0), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.3, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to the helper: %w", err)
	}
	return &control{networkv1.NewControlClient(conn), conn}, nil
}

// serve brings the helper up and watches over it until it ends or is of no use any more.
func (h *helper) serve(ctx, boot context.Context, box *sandbox.Box, w *watcher) error {
	c, err := h.dialControl(box)
	if err != nil {
		return err
	}
	defer func() { _ = c.conn.Close() }()
	boot, cancel := context.WithCancelCause(boot)
	defer cancel(nil)
	go func() { // A boot does not wait for one that has ended.
		select {
		case <-w.ended:
			cancel(errors.New(w.why))
		case <-boot.Done():
		}
	}()
	if err := h.bring(boot, c); err != nil {
		return errors.Join(err, context.Cause(boot))
	}
	h.setControl(c)
	h.log.Info("the helper is up")
	return h.watch(ctx, c, w)
}

// bring tells vmhelper and the helper everything.
func (h *helper) bring(ctx context.Context, c *control) error {
	if _, err := c.Health(ctx, &networkv1.HealthRequest{}, grpc.WaitForReady(true)); err != nil {
		return fmt.Errorf("reach the helper's control API: %w", sandbox.Native(err))
	}
	if err := h.f.setUplink(ctx); err != nil {
		return err
	}
	err := h.resync(ctx, c)
	if errdefs.IsUnavailable(err) {
		// Layer 3 is made, and with it the way out. OVN takes its part as soon as its databases are there.
		h.log.Debug("the helper takes a part of its state later", "reason", err)
		h.markDirty()
		return nil
	}
	return err
}

// resync tells the helper everything, again when something has changed meanwhile.
func (h *helper) resync(ctx context.Context, c *control) error {
	ctx, cancel := context.WithTimeout(ctx, resyncLimit)
	defer cancel()
	for range syncTries {
		state, changes := h.f.table.snapshot()
		if err := h.addLinks(ctx, state.Networks...); err != nil {
			return err
		}
		if _, err := c.Resync(ctx, &networkv1.ResyncRequest{State: h.state(state)}); err != nil {
			return fmt.Errorf("tell the helper its state: %w", sandbox.Native(err))
		}
		if h.f.table.unchangedSince(changes) {
			break
		}
	}
	return nil
}

// gateway is the link of a network's gateway; nil: it has none, or shares the trunk.
func (h *helper) gateway(n *desired.Network) *vmhelperv1.Link {
	if n.Gateway == nil || h.f.LinkTrunk() {
		return nil
	}
	mtu := n.MTU
	if mtu == 0 {
		mtu = h.f.MTU()
	}
	return &vmhelperv1.Link{Name: n.Gateway.Link, Mac: n.Gateway.MAC, Mtu: mtu}
}

// addLinks makes the gateways' links in the helper's sandbox, as far as they are not there.
func (h *helper) addLinks(ctx context.Context, ns ...*desired.Network) error {
	for _, n := range ns {
		if l := h.gateway(n); l != nil {
			if err := h.f.addLink(ctx, h.id, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch asks for the helper's health until it ends or is of no use any more.
func (h *helper) watch(ctx context.Context, c *control, w *watcher) error {
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	again := time.NewTimer(0) // after a resync that failed.
	<-again.C
	defer again.Stop()
	silent := 0
	well := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.ended:
			return errors.New(w.why)
		case <-h.leaving:
			h.forget(ctx, c)
		case <-again.C:
			h.markDirty()
		case <-h.dirty:
			switch err := h.resync(ctx, c); {
			case err == nil:
			case ctx.Err() != nil: // The frontend ends.
			case errdefs.IsUnavailable(err):
				again.Reset(resyncPause)
			default:
				h.log.Warn("resync the helper", "error", err)
				silent++
				again.Reset(resyncPause)
			}
		case <-t.C:
			health, err := h.health(ctx, c)
			switch {
			case err != nil:
				silent++
				h.log.Warn("the helper does not answer", "error", err)
			case !health.Synced:
				h.markDirty()
			default:
				silent = 0
			}
			if err == nil && health.Ready {
				well = time.Now()
			}
			h.tellHealth(health, time.Since(well))
		}
		if silent > maxSilent {
			return errors.New("it does not answer")
		}
		if time.Since(well) > maxUnwell {
			return errors.New("it does not recover")
		}
	}
}

func (h *helper) health(ctx context.Context, c *control) (*networkv1.HealthResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	health, err := c.Health(ctx, &networkv1.HealthRequest{})
	return health, sandbox.Native(err)
}

// setControl makes the helper up, or down.
func (h *helper) setControl(c *control) {
	h.mu.Lock()
	was := h.control
	h.control = c
	if c != nil {
		h.everUp, h.failures = true, 0
		if was == nil {
			close(h.up)
		}
	} else if was != nil {
		h.up = make(chan struct{})
	}
	h.mu.Unlock()
	if c != nil {
		h.tell(Status{State: stateUp})
	}
}

// markDirty asks for a resync: the helper was not told something.
func (h *helper) markDirty() {
	select {
	case h.dirty <- struct{}{}:
	default:
	}
}

// call makes one call of the control API. That it fails is mended by a resync, that the helper is down by its start.
func (h *helper) call(ctx context.Context, c *control, what string, f func(ctx context.Context, c *control) error) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	switch err := sandbox.Native(f(ctx, c)); {
	case err == nil:
	case errdefs.IsUnavailable(err): // One of its databases is being restarted: the others have it.
		h.log.Debug("tell the helper, later again", "what", what, "error", err)
		h.markDirty()
	default:
		h.log.Warn("tell the helper, later again", "what", what, "error", err)
		h.markDirty()
	}
}

// current is the connection to a helper that is up; nil: there is none.
func (h *helper) current() *control {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.control
}

func (h *helper) applyNetwork(ctx context.Context, n *desired.Network) {
	h.call(ctx, h.current(), "apply network", func(ctx context.Context, c *control) error {
		if err := h.addLinks(ctx, n); err != nil {
			return err
		}
		_, err := c.ApplyNetworks(ctx, &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{h.network(n)}})
		return err
	})
}

func (h *helper) removeNetwork(ctx context.Context, n *desired.Network) {
	h.call(ctx, h.current(), "remove network", func(ctx context.Context, c *control) error {
		_, err := c.RemoveNetworks(ctx, &networkv1.RemoveNetworksRequest{Ids: []string{n.ID}})
		if l := h.gateway(n); l != nil {
			err = errors.Join(err, h.f.removeLink(ctx, h.id, l.Name))
		}
		return err
	})
}

// applyEndpoints is what a start waits for.
func (h *helper) applyEndpoints(ctx context.Context, eps []*desired.Endpoint) {
	h.call(ctx, h.await(ctx), "apply endpoints", func(ctx context.Context, c *control) error {
		req := &networkv1.ApplyEndpointsRequest{}
		for _, ep := range eps {
			req.Endpoints = append(req.Endpoints, helperEndpoint(ep))
		}
		_, err := c.ApplyEndpoints(ctx, req)
		return err
	})
}

// removeEndpoints is waited for by nobody: the relay has silenced them already.
func (h *helper) removeEndpoints(ids []string) {
	h.mu.Lock()
	if h.control != nil { // Else the next resync does not name them.
		h.gone = append(h.gone, ids...)
	}
	h.mu.Unlock()
	select {
	case h.leaving <- struct{}{}:
	default:
	}
}

// forget tells the helper of the endpoints that are gone.
func (h *helper) forget(ctx context.Context, c *control) {
	h.mu.Lock()
	ids := h.gone
	h.gone = nil
	h.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	h.call(ctx, c, "remove endpoints", func(ctx context.Context, c *control) error {
		_, err := c.RemoveEndpoints(ctx, &networkv1.RemoveEndpointsRequest{Ids: ids})
		return err
	})
}
