package sandbox

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// FuzzOpenStream plays an agent that answers a stream's request with anything.
func FuzzOpenStream(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x02\x08\x05"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x06\x08\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		done := make(chan struct{})
		a := &Agent{dial: func(context.Context, uint32) (net.Conn, error) {
			host, guest := net.Pipe()
			go func() {
				defer close(done)
				defer func() { _ = guest.Close() }()
				_ = guest.SetDeadline(time.Now().Add(10 * time.Second))
				var b [4096]byte
				if _, err := guest.Read(b[:]); err == nil {
					_, _ = guest.Write(answer) // Half of it may be refused.
				}
			}()
			return host, nil
		}}
		conn, reply, err := a.OpenStream(t.Context(), &guestv1.StreamRequest{})
		if err != nil {
			if Native(err) == nil {
				t.Fatalf("the error vanished: %v", err)
			}
		} else {
			if reply.Code != 0 {
				t.Fatalf("code %d is no error", reply.Code)
			}
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
		<-done
	})
}
