package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run calls f on a thread of its own and returns when it has returned.
func Run(f func() error) error {
	ch := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine has the first thread, f cannot get it.
			ch <- Run(f)
			runtime.UnlockOSThread()
			return
		}
		ch <- f() // Never unlocked: the thread ends with this goroutine.
	}()
	return <-ch
}
