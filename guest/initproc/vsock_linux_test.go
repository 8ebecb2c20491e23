package initproc

import (
	"errors"
	"testing"

	"github.com/mdlayher/vsock"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/guestwire"
)

// TestVsockRefusesAllButTheHost dials through the kernel's loopback, whose CID is not the host's.
func TestVsockRefusesAllButTheHost(t *testing.T) {
	v, err := newVsock(guestwire.PortControl, guestwire.PortStream)
	if err != nil {
		t.Skip("no AF_VSOCK here: ", err)
	}
	defer v.close()
	accepted := make(chan error, 1)
	go func() {
		c, err := v.Port(guestwire.PortControl).Accept()
		if err == nil {
			_ = c.Close()
		}
		accepted <- err
	}()
	c, err := vsock.Dial(vsock.Local, guestwire.PortControl, nil)
	if err != nil {
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.ETIMEDOUT) || errors.Is(err, unix.ECONNRESET) {
			t.Skip("no vsock loopback here: ", err)
		}
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes", n)
	}
	v.close()
	if err := <-accepted; err == nil {
		t.Fatal("a stranger was accepted")
	}
}
