package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OOMWatch waits for the kernel's word that a container is out of memory.
type OOMWatch struct {
	f     *os.File // eventfd (version 1) or inotify (version 2).
	group string
	v2    bool
	kills uint64
}

// WatchOOM watches the group at path.
func (r *Runtime) WatchOOM(path string) (*OOMWatch, error) {
	w := &OOMWatch{group: Group("memory", path), v2: unified()}
	var err error
	if w.v2 {
		err = w.notify()
	} else {
		err = w.register()
	}
	if err != nil {
		return nil, fmt.Errorf("watch memory of %s: %w", path, err)
	}
	return w, nil
}

func (w *OOMWatch) notify() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	if _, err := unix.InotifyAddWatch(fd, filepath.Join(w.group, "memory.events"), unix.IN_MODIFY); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	w.f = os.NewFile(uintptr(fd), "inotify")
	return nil
}

func (w *OOMWatch) register() error {
	control, err := os.Open(filepath.Join(w.group, "memory.oom_control"))
	if err != nil {
		return err
	}
	defer func() { _ = control.Close() }()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%d %d", fd, control.Fd())
	if err := os.WriteFile(filepath.Join(w.group, "cgroup.event_control"), []byte(line), 0); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	w.f = os.NewFile(uintptr(fd), "eventfd")
	return nil
}

// Next waits for the next time. It returns false, and the watch is over, when ctx has ended or the group is gone.
func (w *OOMWatch) Next(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, func() { _ = w.f.Close() })
	defer stop()
	var b [4096]byte
	for {
		if _, err := w.f.Read(b[:]); err != nil || ctx.Err() != nil {
			_ = w.f.Close()
			return false
		}
		if !w.v2 {
			if _, err := os.Stat(filepath.Join(w.group, "cgroup.event_control")); err == nil {
				return true
			}
			_ = w.f.Close() // The kernel also signals the removal of the group.
			return false
		}
		values, err := KeyValues(filepath.Join(w.group, "memory.events"))
		if err != nil {
			_ = w.f.Close()
			return false
		}
		if n := values["oom_kill"]; n > w.kills {
			w.kills = n
			return true
		}
	}
}
