package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/guest/initproc"
	"github.com/arca-engine/arca/guest/netconf"
	"github.com/arca-engine/arca/guest/resolver"
	"github.com/arca-engine/arca/guest/runtime"
	"github.com/arca-engine/arca/internal/failpoint"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func networkPath(id string) string { return filepath.Join(initproc.Run, "netns", id) }

// network is a network namespace that is a container's own, with what the agent runs in it.
type network struct {
	space *netconf.Space
	names resolver.Names

	mu       sync.Mutex
	resolver *resolver.Resolver
	closed   bool
}

// makeNetwork makes the network of a container, before anything of the container runs in it.
func (a *Agent) makeNetwork(ctx context.Context, req *guestv1.StartRequest) (_ *network, warnings []string, err error) {
	if err := failpoint.Hit("guest/network"); err != nil {
		return nil, nil, err
	}
	n := &network{}
	if req.Names != nil {
		if err := n.names.Set(req.Names); err != nil {
			return nil, nil, err
		}
	}
	path := networkPath(req.Mount.ContainerId)
	if err := netconf.Unpin(path); err != nil {
		return nil, nil, err
	}
	if n.space, err = a.home.Make(path); err != nil {
		return nil, nil, err
	}
	warnings, err = n.configure(ctx, req.NetworkConfig)
	if err != nil {
		return nil, nil, errors.Join(err, n.undo())
	}
	return n, warnings, nil
}

func (n *network) configure(ctx context.Context, c *guestv1.NetworkConfig) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("the container is not running: %w", errdefs.ErrFailedPrecondition)
	}
	if err := errors.Join(netconf.Check(c), resolver.Check(c.GetResolver())); err != nil {
		return nil, err
	}
	// Both spend their time in the kernel, and neither needs the other.
	var warnings []string
	resolved := make(chan error, 1)
	go func() {
		var err error
		warnings, err = n.resolve(c.GetResolver())
		resolved <- err
	}()
	err := n.space.Configure(ctx, c)
	err = errors.Join(err, <-resolved)
	return warnings, err
}

// resolve starts, changes or ends the resolver.
func (n *network) resolve(c *guestv1.Resolver) (warnings []string, err error) {
	if c == nil {
		return nil, n.stopResolver()
	}
	if n.resolver != nil {
		return nil, n.resolver.Change(c)
	}
	r, warning, err := resolver.Start(n.space, c, &n.names)
	if err != nil {
		return nil, err
	}
	n.resolver = r
	if warning != "" {
		warnings = append(warnings, warning)
	}
	return warnings, nil
}

func (n *network) stopResolver() error {
	if n.resolver == nil {
		return nil
	}
	err := n.resolver.Close()
	n.resolver = nil
	return err
}

// close ends what the agent runs in the network of a container that has ended.
func (n *network) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return errors.Join(n.stopResolver(), n.space.Close())
}

// undo takes a network back that no container has been in.
func (n *network) undo() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return errors.Join(n.stopResolver(), n.space.Undo())
}

// running returns the network of a container that runs and has one of its own.
func (a *Agent) running(id string) (*network, error) {
	if _, err := a.first(id); err != nil {
		return nil, err
	}
	c, err := a.lookup(id)
	if err != nil {
		return nil, err
	}
	if c.network == nil {
		return nil, fmt.Errorf("container %.12s has no network of its own: %w", id, errdefs.ErrFailedPrecondition)
	}
	return c.network, nil
}

// ConfigureNetwork implements the method of proto/guest/v1.
func (a *Agent) ConfigureNetwork(ctx context.Context, req *guestv1.ConfigureNetworkRequest) (*guestv1.ConfigureNetworkResponse, error) {
	if err := failpoint.Hit("guest/configure"); err != nil {
		return nil, err
	}
	if err := a.turns.Lock(ctx, req.ContainerId); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(req.ContainerId)
	n, err := a.running(req.ContainerId)
	if err != nil {
		return nil, err
	}
	_, err = n.configure(ctx, req.Config)
	return &guestv1.ConfigureNetworkResponse{}, err
}

// SetNames implements the method of proto/guest/v1.
func (a *Agent) SetNames(_ context.Context, req *guestv1.SetNamesRequest) (*guestv1.SetNamesResponse, error) {
	if err := failpoint.Hit("guest/names"); err != nil {
		return nil, err
	}
	n, err := a.running(req.ContainerId)
	if err != nil {
		return nil, err
	}
	return &guestv1.SetNamesResponse{}, n.names.Set(req.Names)
}

// networkSysctls writes the spec's sysctls of networks, in the namespace that do enters, and takes them out of the spec:
// runc refuses them for a container that is in the namespace of runc itself, which is the agent's.
func networkSysctls(s *ociSpec, do func(func() error) error) error {
	if len(s.Linux.Sysctl) == 0 {
		return nil
	}
	var all map[string]string
	if err := json.Unmarshal(s.Linux.Sysctl, &all); err != nil {
		return fmt.Errorf("decode sysctls: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	rest := map[string]string{}
	err := do(func() error {
		for k, v := range all {
			if !strings.HasPrefix(k, "net.") && !strings.HasPrefix(k, "net/") {
				rest[k] = v
			} else if err := netconf.WriteSysctl(k, v); err != nil {
				return &runtime.Error{Sentence: "runc create failed: unable to start container process: error during container init: " + err.Error()}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Linux.Sysctl = nil
	if len(rest) > 0 {
		s.Linux.Sysctl, err = json.Marshal(rest)
	}
	return err
}

// enterNetwork gives the container the network that its mode names, and returns the namespace that is to be joined.
func (a *Agent) enterNetwork(ctx context.Context, req *guestv1.StartRequest, s *ociSpec, c *container) (*specs.LinuxNamespace, error) {
	if req.Network.GetKind() != guestv1.NamespaceMode_PRIVATE && (len(req.NetworkConfig.GetInterfaces()) > 0 || req.NetworkConfig.GetResolver() != nil) {
		return nil, fmt.Errorf("a container without a network of its own has no interfaces and no resolver: %w", errdefs.ErrInvalidArgument)
	}
	switch req.Network.GetKind() {
	case guestv1.NamespaceMode_PRIVATE:
		begun := time.Now()
		n, warnings, err := a.makeNetwork(ctx, req)
		if err != nil {
			return nil, err
		}
		c.network, c.warnings, c.netTime = n, warnings, time.Since(begun)
		return &specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: n.space.Path()}, networkSysctls(s, n.space.Do)
	case guestv1.NamespaceMode_CONTAINER:
		p, err := a.first(req.Network.ContainerId)
		if err != nil {
			return nil, err
		}
		path := fmt.Sprintf("/proc/%d/ns/net", p.pid)
		return &specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path}, networkSysctls(s, func(f func() error) error { return a.home.Enter(path, f) })
	case guestv1.NamespaceMode_SANDBOX:
		a.home.Occupy()
		return nil, nil
	default:
		return nil, fmt.Errorf("namespace mode %d: %w", req.Network.GetKind(), errdefs.ErrInvalidArgument)
	}
}
