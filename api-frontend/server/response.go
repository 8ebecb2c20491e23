package server

import (
	"context"
	"io"
	"net/http"
)

// Media types of Docker's own streams.
const (
	mediaJSON = "application/json"
	mediaText = "text/plain; charset=utf-8"
	// MediaRaw is a stream of bytes without frames: a terminal's, or an attach before API 1.42.
	MediaRaw = "application/vnd.docker.raw-stream"
	// MediaMultiplexed is a stream of stdcopy frames.
	MediaMultiplexed = "application/vnd.docker.multiplexed-stream"
)

// FlushWriter is a stream's writer. Every Write is on its way to the client when it returns; a failed Write ends the
// stream's context.
type FlushWriter interface {
	io.Writer
}

// StreamFunc writes the body of a streamed answer. An error that it returns after the first byte cuts the connection,
// so that the client cannot take the body for whole.
type StreamFunc func(ctx context.Context, w FlushWriter) error

// HijackFunc owns a connection until it returns; the server closes the connection afterwards.
type HijackFunc func(ctx context.Context, conn *HijackConn) error

type kind uint8

const (
	kindBytes kind = iota
	kindJSON
	kindStream
	kindLazy
	kindHijack
)

// Response is what a handler answers. It is a value; the With methods return changed copies.
type Response struct {
	kind        kind
	status      int
	contentType string
	header      []headerField
	body        []byte
	value       any
	stream      StreamFunc
	hijack      HijackFunc
	onEnd       func()
}

type headerField struct{ key, value string }

// JSON answers with v encoded as JSON.
func JSON(status int, v any) Response {
	return Response{kind: kindJSON, status: status, contentType: mediaJSON, value: v}
}

// Bytes answers with a body that is at hand.
func Bytes(status int, contentType string, body []byte) Response {
	return Response{status: status, contentType: contentType, body: body}
}

// Text answers with plain text.
func Text(status int, body string) Response {
	return Bytes(status, mediaText, []byte(body))
}

// Status answers with a status and no body.
func Status(code int) Response { return Response{status: code} }

// NoContent answers 204.
func NoContent() Response { return Status(http.StatusNoContent) }

// Stream answers with a body that f writes: status and headers go out at once, before f runs.
func Stream(status int, contentType string, f StreamFunc) Response {
	return Response{kind: kindStream, status: status, contentType: contentType, stream: f}
}

// StreamLazy is Stream whose status and headers go out with f's first Write: an error that f returns before it becomes
// an ordinary error answer.
func StreamLazy(status int, contentType string, f StreamFunc) Response {
	return Response{kind: kindLazy, status: status, contentType: contentType, stream: f}
}

// Hijack takes the connection over: 101 UPGRADED with mediaType when the client asked to upgrade, else 200 with the raw
// media type, and then bytes in both directions without HTTP framing. The headers go out before f runs.
func Hijack(mediaType string, f HijackFunc) Response {
	return Response{kind: kindHijack, contentType: mediaType, hijack: f}
}

// WithHeader returns the response with one more header field.
func (r Response) WithHeader(key, value string) Response {
	r.header = append(r.header[:len(r.header):len(r.header)], headerField{key, value})
	return r
}

// OnEnd returns the response with a function that runs once when the exchange has ended, also when the stream or hijack
// function never ran. It releases what the handler acquired for that function.
func (r Response) OnEnd(f func()) Response {
	r.onEnd = f
	return r
}
