package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// The sockets are made by hand: the namespace of a socket is that of the thread that makes it, and with the net package
// making one and waiting for its connection are one call.

func sockaddr(a netip.AddrPort) (int, unix.Sockaddr) {
	if a.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// listen opens both sockets on one port of Address, in the thread's namespace. Port 0 means any.
func (r *Resolver) listen(port uint16) error {
	family, sa := sockaddr(netip.AddrPortFrom(Address, port))
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "udp")
	defer func() { _ = f.Close() }()
	if err := unix.Bind(fd, sa); err != nil {
		return fmt.Errorf("listen on %s: %w", Address, err)
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", Address, err)
	}
	r.udp = pc.(*net.UDPConn)
	port = uint16(r.udp.LocalAddr().(*net.UDPAddr).Port)
	return r.listenTCP(port)
}

func (r *Resolver) listenTCP(port uint16) error {
	family, sa := sockaddr(netip.AddrPortFrom(Address, port))
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "tcp")
	defer func() { _ = f.Close() }()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("listen on %s: %w", Address, err)
	}
	if err = unix.Bind(fd, sa); err == nil {
		err = unix.Listen(fd, maxConns)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", Address, err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", Address, err)
	}
	r.tcp = l.(*net.TCPListener)
	return nil
}

// dial connects from within the container's namespace.
func (r *Resolver) dial(ctx context.Context, kind int, to netip.AddrPort) (net.Conn, error) {
	family, sa := sockaddr(to)
	var f *os.File
	err := r.space.Do(func() error {
		fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			f = os.NewFile(uintptr(fd), "upstream")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, err)
	}
	defer func() { _ = f.Close() }()
	pending := unix.Connect(int(f.Fd()), sa)
	if pending != nil && pending != unix.EINPROGRESS {
		return nil, fmt.Errorf("connect to %s: %w", to, pending)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", to, err)
	}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if pending == nil {
		return c, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err = connected(c)
	if !stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", to, err), c.Close())
	}
	return c, nil
}

// connected waits until a connection is made.
func connected(c net.Conn) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			failed = err
			return true
		}
		if n != 0 {
			failed = unix.Errno(n)
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil
	})
	return errors.Join(err, failed)
}
