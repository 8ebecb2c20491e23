package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ErrRunning says that the job has a supervisor already.
var ErrRunning = errors.New("a supervisor runs already")

// Lock makes the caller the only supervisor of a job until release is called or the process ends.
func Lock(run, job string) (release func() error, err error) {
	f, err := os.OpenFile(lockFile(run, job), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of %s: %w", job, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", job, ErrRunning)
		}
		return nil, fmt.Errorf("lock of %s: %w", job, err)
	}
	return func() error {
		err := os.Remove(StateFile(run, job))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return errors.Join(err, os.Remove(f.Name()), f.Close())
	}, nil
}
