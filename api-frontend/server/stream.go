package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// lastWrite is how long a client has to take what a stream writes when the server stops.
const lastWrite = time.Second

// streamAnswer writes the answer's body as its function makes it.
func (x *exchange) streamAnswer(resp Response) {
	ctx, stop := context.WithCancelCause(x.ctx)
	release := context.AfterFunc(x.server.streams, func() {
		stop(ErrStopping)
		_ = x.peer.SetWriteDeadline(time.Now().Add(lastWrite))
	})
	b := &streamBody{x: x, ctx: ctx, resp: resp, release: func() { release(); stop(nil) }}
	if resp.kind == kindLazy && !b.begin() {
		b.release()
		if b.err != nil {
			x.fail(b.err, "")
			return
		}
		x.plain(resp.status, resp.contentType, nil)
		x.finish(resp.status, nil)
		return
	}
	x.closeIfUnread()
	x.fc.SetStatusCode(resp.status)
	x.fc.SetContentType(resp.contentType)
	x.fc.Response.ImmediateHeaderFlush = true
	if !x.fc.Request.Header.IsHTTP11() {
		x.unframed(b)
		return
	}
	x.fc.Response.SetBodyStream(b, -1)
}

// streamBody is the body of a streamed answer. fasthttp has flushed the headers when it calls WriteTo, so the function
// writes its chunks straight to the connection: one system call for each Write.
type streamBody struct {
	x       *exchange
	ctx     context.Context
	resp    Response
	release func()
	raw     bool

	// Of a lazy stream alone, whose function runs in a goroutine of its own.
	started chan struct{}
	proceed chan bool
	ended   chan struct{}
	waiting bool
	err     error

	head [20]byte
	buf  []byte
}

// SupportsBodyWriteTo tells fasthttp to use WriteTo.
func (b *streamBody) SupportsBodyWriteTo() bool { return true }

// Read is never called; fasthttp uses WriteTo.
func (b *streamBody) Read([]byte) (int, error) {
	return 0, fmt.Errorf("read a stream that can only be written: %w", io.ErrNoProgress)
}

// WriteTo runs the function to its end. The writer that fasthttp gives frames and copies; it is not used.
func (b *streamBody) WriteTo(io.Writer) (int64, error) {
	if b.resp.kind == kindLazy {
		b.waiting = false
		b.proceed <- true
		<-b.ended
	} else {
		b.err = b.call(b)
	}
	return 0, b.err
}

// Close is called by fasthttp when the answer has been written or has failed.
func (b *streamBody) Close() error {
	if b.waiting {
		b.waiting = false
		b.x.cancel(ErrClientLeft)
		b.proceed <- false
		<-b.ended
	}
	b.release()
	b.x.finish(b.resp.status, b.err)
	return nil
}

func (b *streamBody) call(w FlushWriter) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = b.x.server.panicked(b.x.req, v)
		}
	}()
	return b.resp.stream(b.ctx, w)
}

// begin starts a lazy stream's function and waits for its first Write or its end; it says whether there was a Write.
func (b *streamBody) begin() bool {
	b.started, b.proceed, b.ended = make(chan struct{}), make(chan bool), make(chan struct{})
	go func() {
		defer close(b.ended)
		b.err = b.call(&lazyWriter{body: b})
	}()
	select {
	case <-b.started:
		b.waiting = true
		return true
	case <-b.ended:
		return false
	}
}

// lazyWriter holds the first Write back until the headers are out.
type lazyWriter struct {
	body    *streamBody
	started bool
	refused bool
}

func (w *lazyWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.started = true
		close(w.body.started)
		w.refused = !<-w.body.proceed
	}
	if w.refused {
		return 0, ErrClientLeft
	}
	return w.body.Write(p)
}

// smallWrite is the size up to which a chunk is copied beside its frame instead of being written with writev.
const smallWrite = 8 << 10

// Write sends p as one chunk.
func (b *streamBody) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := b.ctx.Err(); err != nil {
		return 0, context.Cause(b.ctx)
	}
	if err := b.send(p); err != nil {
		b.x.peer.leave()
		return 0, err
	}
	return len(p), nil
}

func (b *streamBody) send(p []byte) error {
	conn := b.x.peer.Conn
	if b.raw {
		_, err := conn.Write(p)
		return err
	}
	head := append(strconv.AppendInt(b.head[:0], int64(len(p)), 16), '\r', '\n')
	if len(p) <= smallWrite {
		b.buf = append(append(append(b.buf[:0], head...), p...), '\r', '\n')
		_, err := conn.Write(b.buf)
		return err
	}
	pieces := net.Buffers{head, p, crlf}
	_, err := pieces.WriteTo(conn)
	return err
}

var crlf = []byte("\r\n")

// unframed answers a client of HTTP/1.0, which knows no chunks: the body ends with the connection.
func (x *exchange) unframed(b *streamBody) {
	b.raw = true
	var head bytes.Buffer
	h := &x.fc.Response.Header
	fmt.Fprintf(&head, "HTTP/1.0 %d %s\r\n", b.resp.status, statusText(b.resp.status))
	for key, value := range h.All() {
		if string(key) != "Content-Length" {
			fmt.Fprintf(&head, "%s: %s\r\n", key, value)
		}
	}
	head.WriteString("Connection: close\r\n\r\n")
	x.takeOver(func(io.Reader) {
		defer b.Close() //nolint:errcheck // It returns nil.
		if _, err := x.peer.Write(head.Bytes()); err != nil {
			b.err = err
			return
		}
		_, _ = b.WriteTo(nil)
	}, func() { _ = b.Close() })
}
