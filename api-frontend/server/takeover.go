package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

// takeOver takes the connection away from fasthttp, whose response is not written. f runs in a goroutine of fasthttp's,
// reads what was read behind the request first, and ends with the connection's close. If fasthttp drops the connection
// before, lost runs instead.
func (x *exchange) takeOver(f func(r io.Reader), lost func()) {
	x.peer.onAbandon(lost)
	x.fc.HijackSetNoResponse(true)
	x.fc.Hijack(func(c net.Conn) {
		if !x.peer.claim() {
			return
		}
		defer x.peer.Close() //nolint:errcheck // Nothing is left to say to the client.
		f(c)
	})
}

// discardBody reads what the handler left of the body: the stream begins behind it.
func (x *exchange) discardBody() error {
	if x.body == nil || x.body.left() == 0 {
		return nil
	}
	n, err := io.Copy(io.Discard, io.LimitReader(x.body, maxDiscard+1))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if n > maxDiscard {
		return errBodyTooLarge
	}
	return nil
}

// hijackAnswer gives the connection to the answer's function.
func (x *exchange) hijackAnswer(resp Response) {
	if err := x.discardBody(); err != nil {
		x.fail(err, "")
		return
	}
	ctx, stop := context.WithCancelCause(x.ctx)
	release := context.AfterFunc(x.server.streams, func() {
		stop(ErrStopping)
		// A function that waits for the client in Read or Write learns of it so.
		_ = x.peer.SetDeadline(time.Now())
	})
	status := http.StatusOK
	var head bytes.Buffer
	if x.req.upgrade {
		status = http.StatusSwitchingProtocols
		head.WriteString("HTTP/1.1 101 UPGRADED\r\nContent-Type: " + resp.contentType +
			"\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n")
	} else {
		head.WriteString("HTTP/1.1 200 OK\r\nContent-Type: " + MediaRaw + "\r\n")
	}
	for _, f := range resp.header {
		head.WriteString(f.key + ": " + f.value + "\r\n")
	}
	head.WriteString("\r\n")

	end := func(err error) {
		release()
		stop(nil)
		x.finish(status, err)
	}
	x.peer.hijack()
	x.takeOver(func(r io.Reader) {
		if _, err := x.peer.Write(head.Bytes()); err != nil {
			end(err)
			return
		}
		end(x.callHijack(ctx, resp.hijack, &HijackConn{conn: x.peer.Conn, reader: r, peer: x.peer}))
	}, func() { end(ErrClientLeft) })
}

func (x *exchange) callHijack(ctx context.Context, f HijackFunc, conn *HijackConn) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = x.server.panicked(x.req, v)
		}
	}()
	return f(ctx, conn)
}

func statusText(code int) string { return fasthttp.StatusMessage(code) }
