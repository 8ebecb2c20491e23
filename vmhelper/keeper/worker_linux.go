package keeper

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/child"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

// WorkerSpec says how a worker is started: this same program, confined, with the keeper's socket as descriptor 3 and
// Files from 4 on.
type WorkerSpec struct {
	Args     []string
	Env      []string
	UID, GID uint32
	Files    []*os.File
}

type worker struct {
	conn *wire.Conn
	c    *child.Child
}

// StartWorker starts a worker.
func StartWorker(s WorkerSpec) (Worker, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make keeper socket: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "keeper"), os.NewFile(uintptr(fds[1]), "worker")
	defer func() { _ = far.Close() }()
	conn, err := wire.New(near)
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	defer func() { _ = null.Close() }()
	c, err := child.Start(child.Spec{
		// The link needs no right to the directories above the program, which the worker's uid may lack.
		Path: "/proc/self/exe", Args: s.Args, Env: s.Env,
		Files:   append([]*os.File{null, os.Stderr, os.Stderr, far}, s.Files...),
		Confine: true, UID: s.UID, GID: s.GID, Caps: []uintptr{unix.CAP_NET_BIND_SERVICE},
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &worker{conn: conn, c: c}, nil
}

func (w *worker) Conn() *wire.Conn { return w.conn }
func (w *worker) Pid() int         { return w.c.Pid }
func (w *worker) Kill() error      { return w.c.Signal(unix.SIGKILL) }
func (w *worker) Wait() (string, error) {
	defer func() { _ = w.c.Close() }()
	return w.c.Wait()
}
