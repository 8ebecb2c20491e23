package sandboxtest

import (
	"io"
	"net"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func (b *Box) serveStream(c net.Conn) {
	var req guestv1.StreamRequest
	if guestwire.ReadMessage(c, &req) != nil {
		return // The host has left.
	}
	refuse := func(code codes.Code, text string) {
		_ = guestwire.WriteMessage(c, &guestv1.StreamReply{Code: uint32(code), Message: text})
	}
	switch r := req.Request.(type) {
	case *guestv1.StreamRequest_Output:
		p := b.Process(r.Output.ContainerId)
		if p == nil {
			refuse(codes.NotFound, "no such process")
			return
		}
		if guestwire.WriteMessage(c, &guestv1.StreamReply{}) == nil {
			p.sendOutput(c, r.Output.StdoutOffset, r.Output.StderrOffset)
		}
	case *guestv1.StreamRequest_Stdin:
		p := b.Process(r.Stdin.ContainerId)
		if p == nil {
			refuse(codes.NotFound, "no such process")
			return
		}
		if guestwire.WriteMessage(c, &guestv1.StreamReply{}) == nil {
			p.takeStdin(c)
		}
	case *guestv1.StreamRequest_Connect:
		if b.h.Connect == nil || b.Process(r.Connect.ContainerId) == nil {
			refuse(codes.NotFound, "no such socket")
			return
		}
		if guestwire.WriteMessage(c, &guestv1.StreamReply{}) == nil {
			_ = b.h.Connect(r.Connect.ContainerId, r.Connect.Path, c) // It has it until both ends have closed.
		}
	default:
		refuse(codes.Unimplemented, "not in the fake")
	}
}

// sendOutput sends frames from these offsets on, and the last one after the exit.
func (p *Process) sendOutput(c net.Conn, stdout, stderr uint64) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, c) // Acknowledgements.
	}()
	defer func() {
		_ = c.Close()
		<-gone
	}()
	at := [3]uint64{0, stdout, stderr}
	for {
		p.mu.Lock()
		changed, ended := p.changed, p.exit != nil
		out := p.out
		p.mu.Unlock()
		for _, s := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
			data := out[s][at[s]:]
			if len(data) > 0 && writeFrame(c, s, at[s], data) != nil {
				return
			}
			at[s] += uint64(len(data))
		}
		if ended {
			if writeFrame(c, guestwire.End, 0, nil) == nil {
				<-gone
			}
			return
		}
		select {
		case <-changed:
		case <-gone:
			return
		case <-p.box.dead:
			return
		}
	}
}

func writeFrame(c net.Conn, s guestwire.Stream, at uint64, data []byte) error {
	b := make([]byte, guestwire.HeaderSize, guestwire.HeaderSize+len(data))
	guestwire.Header{Stream: s, Length: len(data), Offset: at, UnixNano: time.Now().UnixNano()}.Put(b)
	_, err := c.Write(append(b, data...))
	return err
}

func (p *Process) takeStdin(c net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		p.mu.Lock()
		p.stdin = append(p.stdin, b[:n]...)
		p.changeLocked()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}
