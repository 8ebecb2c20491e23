package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/privileged"
)

// stopLimit bounds the end of all sandboxes.
const stopLimit = 20 * time.Second

func runKeeper(ctx context.Context, o options) error {
	log, err := newLogger("keeper", o.logLvl)
	if err != nil {
		return err
	}
	if o.home == "" || !filepath.IsAbs(o.home) {
		return fmt.Errorf("--home must be an absolute path, and is %q", o.home)
	}
	o.home = filepath.Clean(o.home)
	for _, id := range []uint{o.ownerUID, o.frontendUID, o.frontendGID, o.workerUID, o.workerGID} {
		if id >= 1<<32-1 {
			return fmt.Errorf("%d is no uid or gid", id)
		}
	}
	unix.Umask(0o022)
	lock, err := lockHome(o.home)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	raiseFileLimit(log)

	listeners, err := listen(o)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range listeners {
			_ = f.Close()
		}
	}()
	k := &keeper.Keeper{Store: keeper.NewStore(), Log: log}
	k.Start = func() (keeper.Worker, error) {
		return keeper.StartWorker(keeper.WorkerSpec{
			Args: workerArgs(o), UID: uint32(o.workerUID), GID: uint32(o.workerGID), Files: listeners,
			Env: []string{failpoint.Env + "=" + os.Getenv(failpoint.Env)},
		})
	}
	stop := func(context.Context) error { return nil }
	switch o.driver {
	case "fake":
		k.Backend = noBackend{}
	case "namespace":
		m, err := privileged.New(privileged.Config{
			Home: o.home, OwnerUID: uint32(o.ownerUID), WorkerUID: uint32(o.workerUID), WorkerGID: uint32(o.workerGID),
			Guest: o.guest, Runc: o.runc, Init: o.init, Log: log,
		}, k.Store, k.Notify)
		if err != nil {
			return err
		}
		k.Backend, stop = m, m.Stop
	default:
		return fmt.Errorf("driver %q is unknown", o.driver)
	}
	err = k.Run(ctx)
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return errors.Join(err, stop(sctx))
}

func workerArgs(o options) []string {
	return []string{"arca-vmhelper", "worker", "--home", o.home, "--driver", o.driver, "--log-level", o.logLvl,
		"--frontend-uid", strconv.Itoa(int(o.frontendUID)), "--owner-uid", strconv.Itoa(int(o.ownerUID))}
}

// lockHome makes sure that one keeper serves an instance.
func lockHome(home string) (*os.File, error) {
	dir := filepath.Join(home, "vmhelper")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make vmhelper's directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock instance: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock instance %s: another vmhelper serves it: %w", home, err)
	}
	return f, nil
}

// raiseFileLimit lets this process, and with it agents and containers, have as many descriptors as dockerd's do.
func raiseFileLimit(log hclog.Logger) {
	lim := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		log.Debug("raise limit of descriptors", "error", err)
	}
}

// listen makes the sockets that the frontend connects to. The keeper holds them, so that nobody is refused while a
// worker is restarted.
func listen(o options) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			err = fmt.Errorf("listen for the frontend: %w", err)
		}
	}()
	path := filepath.Join(o.home, "run", "vmhelper")
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if err := errors.Join(dir.Chown(0, int(o.frontendGID)), dir.Chmod(0o750)); err != nil {
		return nil, err
	}
	for _, name := range []string{"vmhelper.sock", "descriptor.sock"} {
		f, err := listenUnix(dir, name, int(o.frontendGID))
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// listenUnix listens at name in dir, named through the open directory because the address of a socket is short.
func listenUnix(dir *os.File, name string, gid int) (*os.File, error) {
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && err != unix.ENOENT {
		return nil, &os.PathError{Op: "unlink", Path: name, Err: err}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)})
	if err == nil {
		err = unix.Fchownat(int(dir.Fd()), name, 0, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = unix.Fchmodat(int(dir.Fd()), name, 0o660, 0)
	}
	if err == nil {
		err = unix.Listen(fd, 1024)
	}
	if err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "listen", Path: name, Err: err}
	}
	return f, nil
}

// noBackend serves a driver that needs no privilege.
type noBackend struct{}

func (noBackend) Call(context.Context, uint16, []byte) (wire.Message, *os.File, bool, error) {
	return nil, nil, false, errors.New("this driver needs nothing of the keeper")
}
