package netconf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/initproc"
)

// Home is the sandbox's own network namespace.
type Home struct {
	file *os.File

	mu   sync.Mutex
	free bool // nobody but the agent has been in it.
}

// NewHome takes the namespace of the agent. It is given to a container where free allows.
func NewHome(free bool) (*Home, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("open the sandbox's network: %w", err)
	}
	return &Home{file: f, free: free}, nil
}

// Occupy says that a container runs in the sandbox's own namespace, which therefore is no other's.
func (h *Home) Occupy() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = false
}

func (h *Home) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	free := h.free
	h.free = false
	return free
}

func (h *Home) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = true
}

// Space is the network namespace of one container. Its methods that change it are called one at a time.
type Space struct {
	home   *Home
	shared bool // it is the sandbox's own.
	file   *os.File
	path   string
	ifaces map[key]*iface
}

// Make makes a namespace with a loopback interface and pins it to a path, at which nothing is.
func (h *Home) Make(path string) (_ *Space, err error) {
	s := &Space{home: h, shared: h.take(), path: path, ifaces: map[key]*iface{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make network: %w", err), s.Undo())
		}
	}()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	if s.shared {
		s.file = h.file
	} else if s.file, err = unshare(); err != nil {
		return nil, err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", s.file.Fd()), path, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	return s, nil
}

// unshare makes a namespace with a loopback interface that is up.
func unshare() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		f, err := func() (*os.File, error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("unshare: %w", err)
			}
			if err := initproc.LoopbackUp(); err != nil {
				return nil, err
			}
			return os.Open("/proc/thread-self/ns/net")
		}()
		done <- result{f, err}
	}()
	r := <-done
	return r.file, r.err
}

// Path returns the path to which the namespace is pinned.
func (s *Space) Path() string { return s.path }

// Do runs f on a thread that is in the namespace. What f opens stays in it; f starts no goroutine that does.
func (s *Space) Do(f func() error) error {
	if s.shared {
		return f()
	}
	return enter(s.home.file, s.file, f)
}

// Enter runs f on a thread that is in the namespace that path names.
func (h *Home) Enter(path string, f func() error) error {
	to, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("enter network: %w", err)
	}
	defer func() { _ = to.Close() }()
	return enter(h.file, to, f)
}

func enter(home, to *os.File, f func() error) error {
	runtime.LockOSThread()
	if err := unix.Setns(int(to.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network: %w", err)
	}
	defer func() {
		// A thread that cannot come back stays locked, and ends with its goroutine.
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// Close ends the agent's hold on the namespace when its container has ended. Where the namespace is the sandbox's own,
// its links are put down and get their own names back; in any other they end with it.
func (s *Space) Close() error {
	var err error
	if s.shared {
		err = s.restore()
	}
	return errors.Join(err, s.unpin())
}

// Undo takes everything back: the links are in the sandbox's namespace, as before.
func (s *Space) Undo() error {
	err := s.restore()
	if s.shared && err == nil {
		s.home.giveBack()
	}
	return errors.Join(err, s.unpin())
}

func (s *Space) unpin() error {
	var err error
	if s.file != nil && !s.shared {
		err = s.file.Close()
		s.file = nil
	}
	return errors.Join(err, Unpin(s.path))
}

// Unpin removes the pin of a namespace, if there is one.
func Unpin(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("remove network: %w", err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove network: %w", err)
	}
	return nil
}
