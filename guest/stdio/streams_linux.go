package stdio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/go-runc"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/guestwire"
)

// Grace is how long output is awaited after the exit of a process whose descendants keep its pipes open, as dockerd.
const Grace = 2 * time.Second

const pipeSize = 1 << 20

// Options says what the streams of a process are.
type Options struct {
	Terminal bool
	Stdin    bool
	Discard  bool
	Rows     uint16
	Columns  uint16
	Dir      string // of the spool's file.
	Limit    uint64 // of the bytes that wait in the spool, beyond which output is dropped; 0: the process waits.
}

// Streams is both ends of the input and output of one process.
type Streams struct {
	Spool *Spool
	opts  Options

	child   [3]*os.File // what the process gets; none with a terminal.
	out     [3]*os.File // our ends of stdout and stderr.
	console *consoleSocket

	pumps sync.WaitGroup
	mu    sync.Mutex
	stdin *os.File // our end; the terminal itself when there is one; nil when closed.
	tty   *os.File
}

var _ runc.IO = (*Streams)(nil)

// Open makes the streams of a process that is to be started.
func Open(o Options) (_ *Streams, err error) {
	s := &Streams{Spool: NewSpool(o.Dir), opts: o}
	if o.Limit > 0 {
		s.Spool.Limit(o.Limit)
	}
	defer func() {
		if err != nil {
			_ = s.Abandon()
		}
	}()
	if o.Terminal {
		s.console, err = listenConsole()
		return s, err
	}
	if o.Stdin {
		if s.child[0], s.stdin, err = pipe(); err != nil {
			return nil, err
		}
	}
	for i := 1; i <= 2; i++ {
		if s.out[i], s.child[i], err = pipe(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func pipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	raw, err := r.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }) // Only speed is lost.
	}
	return r, w, nil
}

// ConsoleSocket is where runc sends the terminal; nil without one.
func (s *Streams) ConsoleSocket() runc.ConsoleSocket {
	if s.console == nil {
		return nil
	}
	return s.console
}

// Started closes the process's ends, takes the terminal and begins to pump. It is called after runc has started the
// process.
func (s *Streams) Started() error {
	s.closeChild()
	if s.console != nil {
		tty, err := s.console.receive()
		s.console = nil
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.tty, s.stdin = tty, tty
		s.mu.Unlock()
		if s.opts.Rows != 0 || s.opts.Columns != 0 {
			if err := s.Resize(s.opts.Rows, s.opts.Columns); err != nil {
				return err
			}
		}
		s.pump(tty, guestwire.Stdout)
		return nil
	}
	s.pump(s.out[1], guestwire.Stdout)
	s.pump(s.out[2], guestwire.Stderr)
	return nil
}

func (s *Streams) pump(f *os.File, stream guestwire.Stream) {
	s.pumps.Go(func() {
		_ = s.Spool.Pump(f, stream, s.opts.Discard) // A broken pipe is its end.
		if !s.opts.Terminal {
			_ = f.Close()
		}
	})
}

// Exited waits for the end of the output of the process, which has exited, and ends the spool.
func (s *Streams) Exited() {
	done := make(chan struct{})
	go func() {
		s.pumps.Wait()
		close(done)
	}()
	t := time.NewTimer(Grace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		for _, f := range []*os.File{s.out[1], s.out[2], s.tty} {
			if f != nil {
				_ = f.SetReadDeadline(time.Now()) // A pump that waits for data ends; one that waits for room goes on.
			}
		}
		<-done
	}
	s.mu.Lock()
	if s.stdin != nil {
		_ = s.stdin.Close()
	}
	s.stdin, s.tty = nil, nil
	s.mu.Unlock()
	s.Spool.End()
}

// Abandon closes everything of a process that did not start.
func (s *Streams) Abandon() error {
	s.closeChild()
	if s.console != nil {
		_ = s.console.Close()
	}
	for _, f := range append(s.out[:], s.stdin) {
		if f != nil {
			_ = f.Close()
		}
	}
	return s.Spool.Close()
}

func (s *Streams) closeChild() {
	for i, f := range s.child {
		if f != nil {
			_ = f.Close()
		}
		s.child[i] = nil
	}
}

// Resize sets the size of the terminal.
func (s *Streams) Resize(rows, columns uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty == nil {
		return errNoTerminal
	}
	raw, err := s.tty.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	var ierr error
	err = raw.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err = errors.Join(err, ierr); err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}

// Close is part of runc.IO: the process's ends.
func (s *Streams) Close() error { s.closeChild(); return nil }

// Stdin is, as Stdout and Stderr, a part of runc.IO that nobody uses.
func (s *Streams) Stdin() io.WriteCloser { return nil }

// Stdout has no use.
func (s *Streams) Stdout() io.ReadCloser { return nil }

// Stderr has no use.
func (s *Streams) Stderr() io.ReadCloser { return nil }

// Set gives cmd, runc, the ends that the process inherits.
func (s *Streams) Set(cmd *exec.Cmd) {
	for i, f := range []**os.File{&s.child[0], &s.child[1], &s.child[2]} {
		if *f == nil {
			continue
		}
		switch i {
		case 0:
			cmd.Stdin = *f
		case 1:
			cmd.Stdout = *f
		default:
			cmd.Stderr = *f
		}
	}
}

// consoleSocket receives a terminal from runc.
type consoleSocket struct {
	dir string
	l   *net.UnixListener
}

func listenConsole() (*consoleSocket, error) {
	dir, err := os.MkdirTemp("", "tty")
	if err != nil {
		return nil, fmt.Errorf("make console socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("make console socket: %w", err)
	}
	return &consoleSocket{dir, l}, nil
}

// Path is part of runc.ConsoleSocket.
func (c *consoleSocket) Path() string { return filepath.Join(c.dir, "s") }

// Close forgets the socket.
func (c *consoleSocket) Close() error {
	return errors.Join(c.l.Close(), os.RemoveAll(c.dir))
}

// receive takes the terminal that runc has sent, and closes the socket.
func (c *consoleSocket) receive() (*os.File, error) {
	defer func() { _ = c.Close() }()
	if err := c.l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	conn, err := c.l.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return nil, fmt.Errorf("receive terminal: no descriptor came: %w", err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receive terminal: no descriptor came: %w", err)
	}
	unix.CloseOnExec(fds[0])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "tty"), nil
}
