package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/rootfs"
	"github.com/arca-engine/arca/guest/sockets"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// connectTimeout bounds how long a socket's owner may take to accept.
const connectTimeout = 10 * time.Second

// connect connects to a unix socket as the container's processes see it.
func (a *Agent) connect(ctx context.Context, req *guestv1.ConnectStream, conn net.Conn) (func() error, error) {
	p, err := a.first(req.ContainerId)
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(req.Path) {
		return nil, fmt.Errorf("connect to %q: the path is not absolute: %w", req.Path, errdefs.ErrInvalidArgument)
	}
	c, err := dialIn(ctx, p, req.Path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", req.Path, err)
	}
	return func() error { return sockets.Join(ctx, c, conn) }, nil
}

// dialIn resolves the path below the root of a process, its own mounts included, and connects to what it found: the
// descriptor is the socket's, whatever its name leads to by then.
func dialIn(ctx context.Context, p *process, path string) (net.Conn, error) {
	root, err := rootfs.OpenRoot(fmt.Sprintf("/proc/%d/root", p.pid))
	if err != nil || !p.running() { // Else the number is perhaps another's by now.
		return nil, errors.Join(err, fmt.Errorf("the container is not running: %w", errdefs.ErrFailedPrecondition))
	}
	defer func() { _ = root.Close() }()
	fd, err := rootfs.OpenIn(int(root.Fd()), path, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	} else if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("it is no socket: %w", errdefs.ErrFailedPrecondition)
	}
	d := net.Dialer{Timeout: connectTimeout}
	c, err := d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EAGAIN) {
		return nil, fmt.Errorf("nobody accepts: %w: %w", err, errdefs.ErrUnavailable)
	}
	return c, err
}
