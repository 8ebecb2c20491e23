package uplink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/vmhelper/netstack"
	"github.com/arca-engine/arca/vmhelper/relay"
)

// Wire is this process's end of a link.
type Wire interface {
	netstack.Port
	Release()
}

// Config is what an uplink is made of.
type Config struct {
	Wire func(relay.LinkKey) Wire
	Log  hclog.Logger
}

// Uplink is at most one place where the helper's uplink ends. Make it with [New].
type Uplink struct {
	cfg Config

	mu     sync.Mutex
	end    *end // nil: there is none.
	closed bool
}

// New makes an uplink that is nowhere.
func New(cfg Config) *Uplink { return &Uplink{cfg: cfg} }

var errClosed = fmt.Errorf("the uplink is closed: %w", errdefs.ErrUnavailable)

// Set says where the uplink is; nil: nowhere. Connections go on while its place and its own addresses stay.
func (u *Uplink) Set(ctx context.Context, s *Settings) error {
	if s != nil {
		if err := s.Check(); err != nil {
			return fmt.Errorf("set uplink: %w", err)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errClosed
	}
	if u.end != nil && s != nil {
		if have := u.end.settings.Load(); have.equal(s) {
			return nil
		} else if have.same(s) {
			u.end.settings.Store(s)
			return nil
		}
	}
	u.stop()
	if s == nil {
		return nil
	}
	e, err := newEnd(ctx, u.cfg, s)
	if err != nil {
		return fmt.Errorf("set uplink: %w", err)
	}
	u.end = e
	return nil
}

func (u *Uplink) stop() {
	if u.end != nil {
		u.end.close()
		u.end = nil
	}
}

// Counters tell what was carried and what was refused, by cause.
func (u *Uplink) Counters() map[string]uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.end == nil {
		return nil
	}
	return u.end.counters.all()
}

// Close ends everything and waits.
func (u *Uplink) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	u.stop()
	return nil
}

var errStopped = errors.New("the uplink ended")
