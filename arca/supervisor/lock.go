package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ErrRunning says that the job has a supervisor already.
var ErrRunning = errors.New("a supervisor runs already")

// dying bounds how long a lock is waited for whose holder does not run any more.
const dying = 10 * time.Second

// LockWhenGone is Lock, and waits for a holder that was killed: its threads let go of the lock a moment after it is seen to
// have ended. A supervisor that runs is ErrRunning at once.
func LockWhenGone(ctx context.Context, run, job string) (release func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond) // flock(2) can be waited for, but not with an end.
	defer tick.Stop()
	for {
		if release, err = Lock(run, job); !errors.Is(err, ErrRunning) {
			return release, err
		}
		if _, running, rerr := Read(run, job); rerr != nil || running {
			return nil, errors.Join(err, rerr)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

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
