package fake

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/sandbox"
)

// link is a pair of datagram sockets, as the link of a virtual machine is: one datagram is one frame.
type link struct {
	sandbox.LinkSpec
	near, far *os.File // vmhelper's end, and the sandbox's.
}

func (l *link) close() { _, _ = l.near.Close(), l.far.Close() }

// Far returns the sandbox's end of a link, which stays the driver's.
func (d *Driver) Far(id, name string) (*os.File, error) {
	sb, err := d.Get(id)
	if err != nil {
		return nil, err
	}
	l, err := sb.(*box).find(name)
	return l.far, err
}

func (b *box) find(name string) (link, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.links, func(l link) bool { return l.Name == name })
	if i < 0 {
		return link{}, fmt.Errorf("there is no link %q: %w", name, errdefs.ErrNotFound)
	}
	return b.links[i], nil
}

func (b *box) makeLink(spec sandbox.LinkSpec) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("make link: %w", err)
	}
	var files [2]*os.File
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true) // It never fails with a socket.
		files[i] = os.NewFile(uintptr(fd), spec.Name)
	}
	if spec.MTU == 0 {
		spec.MTU = b.d.Features().LinkMTU
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.links = append(b.links, link{spec, files[0], files[1]})
	return nil
}

// Link returns the host's end of a link.
func (b *box) Link(_ context.Context, name string) (*sandbox.Link, error) {
	l, err := b.find(name)
	if err != nil {
		return nil, err
	}
	fd := -1
	rc, err := l.near.SyscallConn()
	if err == nil {
		cerr := rc.Control(func(near uintptr) { fd, err = unix.FcntlInt(near, unix.F_DUPFD_CLOEXEC, 3) })
		if err == nil {
			err = cerr
		}
	}
	if err != nil {
		return nil, fmt.Errorf("copy link %s: %w", name, err)
	}
	return &sandbox.Link{File: os.NewFile(uintptr(fd), name), MTU: l.MTU}, nil
}

// Links tells what links there are.
func (b *box) Links() []sandbox.LinkSpec {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]sandbox.LinkSpec, len(b.links))
	for i, l := range b.links {
		out[i] = l.LinkSpec
	}
	return out
}

// AddLink makes a link.
func (b *box) AddLink(ctx context.Context, l sandbox.LinkSpec) error {
	if err := b.d.hit(ctx, StepLink, b); err != nil {
		return err
	}
	if b.dead() {
		return fmt.Errorf("the sandbox ended: %s: %w", b.Reason(), errdefs.ErrNotFound)
	}
	if _, err := b.find(l.Name); err == nil {
		return nil
	}
	return b.makeLink(l)
}

// RemoveLink takes a link away.
func (b *box) RemoveLink(ctx context.Context, name string) error {
	if err := b.d.hit(ctx, StepLink, b); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.links = slices.DeleteFunc(b.links, func(l link) bool {
		if l.Name != name {
			return false
		}
		l.close()
		return true
	})
	return nil
}
