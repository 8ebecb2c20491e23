package bootwire

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FuzzHostileAgent: whatever an agent writes on its boot socket, reading it ends, with an answer within bounds or an
// error, and the descriptors that came with it are closed.
func FuzzHostileAgent(f *testing.F) {
	f.Add([]byte(`{"seq":1}`), false)
	f.Add([]byte(`{"seq":1,"error":"no"}`), true)
	f.Add([]byte{}, true)
	f.Add([]byte("\x00\xff{"), true)
	f.Fuzz(func(t *testing.T, packet []byte, withFile bool) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(os.NewFile(uintptr(fds[0]), "boot"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var rights []byte
		var pipe [2]int
		if withFile {
			if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
				t.Fatal(err)
			}
			rights = unix.UnixRights(pipe[1])
		}
		sent := unix.Sendmsg(fds[1], packet, rights, nil, 0) == nil
		_ = unix.Close(fds[1])
		r, err := c.ReceiveResponse()
		if err == nil && (!sent || len(r.Error) > maxString) {
			t.Errorf("it took %+v", r)
		}
		if withFile {
			_ = unix.Close(pipe[1])
			// Nobody writes any more: the end of the pipe is its end, not a wait.
			if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("a descriptor of the agent is still open: %d, %v", n, err)
			}
			_ = unix.Close(pipe[0])
		}
	})
}
