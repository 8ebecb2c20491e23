package bindsocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/join"
)

const (
	// MaxConnections bounds the connections of one container.
	MaxConnections = 512
	// connectLimit is how long the guest waits.
	connectLimit = 10 * time.Second
)

// Dialer connects to a socket of the host with the rights of the instance's owner.
type Dialer interface {
	ConnectSocket(ctx context.Context, path string) (net.Conn, error)
}

// Own is a Dialer that connects to sockets of this very process itself, and asks next for all others.
type Own struct {
	// Path is the socket that this process listens on.
	Path string
	Next Dialer
}

// ConnectSocket implements Dialer.
func (o Own) ConnectSocket(ctx context.Context, path string) (net.Conn, error) {
	if path != o.Path || path == "" {
		return o.Next.ConnectSocket(ctx, path)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Joiner joins the connections of all containers.
type Joiner struct {
	host Dialer

	mu     sync.Mutex
	active map[string]int // by container.
}

// New makes a joiner.
func New(host Dialer) *Joiner { return &Joiner{host: host, active: map[string]int{}} }

// Join connects to the host's socket and joins it with the guest's connection, until both directions have ended or ctx
// has. Where the host's socket cannot be reached, the guest's connection is taken up and closed, as one to a socket that
// nobody listens on.
func (j *Joiner) Join(ctx context.Context, containerID, path string, guest func(context.Context) (net.Conn, error)) error {
	if err := j.enter(containerID); err != nil {
		return err
	}
	defer j.leave(containerID)
	a, b, err := j.connect(ctx, path, guest)
	if err != nil {
		return err
	}
	return join.Join(ctx, join.Of(a), join.Of(b))
}

// connect returns both ends.
func (j *Joiner) connect(ctx context.Context, path string, guest func(context.Context) (net.Conn, error)) (a, b net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	host, unreachable := j.host.ConnectSocket(ctx, path)
	conn, err := guest(ctx)
	switch {
	case unreachable != nil:
		err = fmt.Errorf("connect to %s: %w", path, unreachable)
		if conn != nil {
			err = errors.Join(err, conn.Close())
		}
		return nil, nil, err
	case err != nil:
		return nil, nil, errors.Join(fmt.Errorf("take up the guest's connection: %w", err), host.Close())
	}
	return conn, host, nil
}

func (j *Joiner) enter(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active[id] >= MaxConnections {
		return fmt.Errorf("container has %d connections to bound sockets: %w", MaxConnections, errdefs.ErrResourceExhausted)
	}
	j.active[id]++
	return nil
}

func (j *Joiner) leave(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active[id]--; j.active[id] == 0 {
		delete(j.active, id)
	}
}
