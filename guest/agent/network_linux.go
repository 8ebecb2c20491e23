package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/initproc"
)

func networkPath(id string) string { return filepath.Join(initproc.Run, "netns", id) }

// makeNetwork makes a network namespace with a loopback interface and pins it to a path.
func makeNetwork(id string) (string, error) {
	path := networkPath(id)
	if err := removeNetwork(id); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("make network: %w", err)
	}
	_ = f.Close()
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // Never unlocked: the thread ends with its namespace.
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if err := initproc.LoopbackUp(); err != nil {
				return err
			}
			return unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
		}()
	}()
	if err := <-done; err != nil {
		return "", errors.Join(fmt.Errorf("make network: %w", err), os.Remove(path))
	}
	return path, nil
}

func removeNetwork(id string) error {
	path := networkPath(id)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("remove network: %w", err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove network: %w", err)
	}
	return nil
}
