package netstack

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// maxTaken bounds what is taken from a socket of the host at one time.
const maxTaken = 256 << 10

// Splice carries what comes from host to c and the other way round until both directions have ended, each by itself, or
// one has failed or ctx has ended: then both are reset. It closes both. Bytes go from the socket of the host into the
// segments of the stack, and from there to the socket, with no buffer between.
func Splice(ctx context.Context, host *net.TCPConn, c *Conn) error {
	raw, err := host.SyscallConn()
	if err != nil {
		c.Abort()
		return errors.Join(err, host.Close())
	}
	var once sync.Once
	reset := func() {
		once.Do(func() {
			_ = host.SetLinger(0) // It is closed either way.
			_ = host.Close()
			c.Abort()
		})
	}
	stop := context.AfterFunc(ctx, reset)
	defer stop()
	other := make(chan error, 1)
	go func() {
		err := toStack(c, raw)
		if err == nil {
			err = ignoreGone(c.CloseWrite())
		}
		if err != nil {
			reset()
		}
		other <- err
	}()
	err = toHost(raw, c)
	if err == nil {
		err = ignoreGone(host.CloseWrite())
	}
	if err != nil {
		reset()
	}
	err = errors.Join(err, <-other)
	once.Do(func() { _ = errors.Join(host.Close(), c.Close()) }) // Both directions have ended.
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// ignoreGone forgives that a side which has been closed whole cannot be closed for writing any more: the other direction
// tells why.
func ignoreGone(err error) error {
	if errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// toStack carries what comes from the socket until it ends.
func toStack(c *Conn, raw syscall.RawConn) error {
	s := &taker{}
	for {
		var end bool
		var terr tcpip.Error
		err := raw.Read(func(fd uintptr) bool {
			s.fd = int(fd)
			ready, ended := s.announced()
			if !ready {
				return false
			}
			if end = ended; !end && s.err == nil {
				_, terr = c.ep.Write(s, tcpip.WriteOptions{})
			}
			return true
		})
		switch {
		case err != nil:
			return err
		case s.err != nil:
			return s.err
		case end:
			return nil
		}
		if err := c.await(terr, c.writable); err != nil {
			return err
		}
	}
}

// taker gives the stack what a socket has announced. It is a tcpip.Payloader.
type taker struct {
	fd    int
	left  int
	first [1]byte // read to learn whether the socket has ended.
	has   bool
	err   error
}

// announced asks the socket how much has come. Nothing, while it is readable, is its end or an error.
func (s *taker) announced() (ready, ended bool) {
	if s.has {
		return true, false
	}
	n, err := unix.IoctlGetInt(s.fd, fionread)
	if err != nil {
		s.err = err
		return true, false
	}
	if s.left = min(n, maxTaken); n > 0 {
		return true, false
	}
	switch n, err := read(s.fd, s.first[:]); {
	case errors.Is(err, unix.EAGAIN):
		return false, false
	case err != nil:
		s.err = err
	case n == 0:
		return true, true
	default:
		s.has, s.left = true, 1
	}
	return true, false
}

// Len implements tcpip.Payloader.
func (s *taker) Len() int { return s.left }

// Read implements io.Reader. The stack loses what it took when this fails, and the connection ends.
func (s *taker) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if s.has {
		b[0], s.has = s.first[0], false
		s.left--
		return 1, nil
	}
	n, err := read(s.fd, b[:min(len(b), s.left)])
	if n <= 0 {
		if s.err = err; err == nil || errors.Is(err, unix.EAGAIN) {
			s.err = errShort
		}
		return 0, s.err
	}
	s.left -= n
	return n, nil
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// toHost carries what comes from the stack until it ends.
func toHost(raw syscall.RawConn, c *Conn) error {
	g := &giver{}
	for {
		var terr tcpip.Error
		if err := raw.Write(func(fd uintptr) bool {
			g.fd, g.full = int(fd), false
			var r tcpip.ReadResult
			r, terr = c.ep.Read(g, tcpip.ReadOptions{})
			if r.Count > 0 {
				c.ep.ModerateRecvBuf(r.Count)
			}
			return !g.full || g.err != nil // A full socket is waited for.
		}); err != nil {
			return err
		}
		if g.err != nil {
			return g.err
		}
		if _, ok := terr.(*tcpip.ErrClosedForReceive); ok {
			return nil
		}
		if err := c.await(terr, c.readable); err != nil {
			return err
		}
	}
}

// giver writes to a socket and never waits: the endpoint is locked meanwhile.
type giver struct {
	fd   int
	full bool
	err  error
}

func (g *giver) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(g.fd, b[done:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			g.full = true
			return done, io.ErrShortWrite
		case err != nil:
			g.err = err
			return done, err
		}
		done += n
	}
	return done, nil
}
