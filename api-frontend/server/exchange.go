package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// exchange is one request and its answer, from the first header to the last byte.
type exchange struct {
	server *Server
	fc     *fasthttp.RequestCtx
	peer   *peerConn
	req    *Request
	body   *bodyStream
	// closing says that the connection closes behind the answer, because more of the body may come.
	closing bool
	ctx     context.Context
	cancel  context.CancelCauseFunc
	start   time.Time
	onEnd   func()
	// interrupted says that the context ended before the answer did.
	interrupted bool
	once        sync.Once
}

// handle answers one request; fasthttp calls it.
func (s *Server) handle(fc *fasthttp.RequestCtx) {
	peer, ok := fc.Conn().(*peerConn)
	if !ok {
		fc.Error("connection of a foreign listener", http.StatusInternalServerError)
		return
	}
	x := &exchange{server: s, fc: fc, peer: peer, start: time.Now()}
	x.ctx, x.cancel = context.WithCancelCause(s.base)
	s.calls.Add(1)
	x.req = newRequest(fc, strconv.FormatUint(s.counter.Add(1), 10))
	if x.req.upgrade {
		peer.hijack()
	}
	peer.begin(x.cancel)
	if err := s.headers.put(&fc.Response.Header, x.start); err != nil {
		x.fail(err, "")
		return
	}

	asked, rest := splitVersion(x.req.path)
	route, vars := s.match.find(fc, x.req.method, rest)
	resp, err := x.run(route, vars, asked)
	if err != nil {
		x.fail(err, asked)
		return
	}
	x.answer(resp)
}

// run checks what is checked for every request, and calls the handler.
func (x *exchange) run(route *Route, vars []pathVar, asked string) (resp Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = x.server.panicked(x.req, v)
		}
	}()
	if err := refuseBrowser(x.fc, x.peer); err != nil {
		return Response{}, err
	}
	if route == nil {
		return Response{}, errNoPage
	}
	version, err := negotiate(asked)
	if err != nil {
		return Response{}, err
	}
	if route.MinVersion != "" && versionLess(version, route.MinVersion) {
		return Response{}, routeTooNew(route)
	}
	r := x.req
	r.version, r.vars = version, vars
	if r.query, err = url.ParseQuery(string(x.fc.URI().QueryString())); err != nil {
		return Response{}, invalid("invalid query: %v", err)
	}
	x.body = bodyReader(x.fc, r.length)
	r.body = x.body
	if !route.StreamBody {
		if r.length > maxJSONBody {
			return Response{}, errBodyTooLarge
		}
		r.body = &limitedBody{x.body, maxJSONBody}
	}
	return route.Handler(x.ctx, r)
}

// answer writes the response, or arranges that it is written.
func (x *exchange) answer(resp Response) {
	x.onEnd = resp.onEnd
	for _, f := range resp.header {
		x.fc.Response.Header.Set(f.key, f.value)
	}
	switch resp.kind {
	case kindStream, kindLazy:
		x.streamAnswer(resp)
		return
	case kindHijack:
		x.hijackAnswer(resp)
		return
	case kindJSON:
		body, err := encode(resp.value)
		if err != nil {
			x.fail(fmt.Errorf("encode answer: %w", err), "")
			return
		}
		resp.body = body
	}
	x.plain(resp.status, resp.contentType, resp.body)
	x.finish(resp.status, nil)
}

// maxDiscard is how much of an unread body is worth reading to keep a connection.
const maxDiscard = 64 << 10

// closeIfUnread announces the connection's end when too much of the body is unread: the client must not use it again.
func (x *exchange) closeIfUnread() {
	left := x.req.length
	if x.body != nil {
		left = x.body.left()
	}
	if left < 0 || left > maxDiscard {
		x.closing = true
		x.fc.SetConnectionClose()
	}
}

func (x *exchange) plain(status int, contentType string, body []byte) {
	x.closeIfUnread()
	x.fc.SetStatusCode(status)
	if contentType != "" {
		x.fc.SetContentType(contentType)
	}
	x.fc.Response.SetBodyRaw(body)
	if len(body) == 0 && x.fc.IsHead() {
		x.fc.Response.Header.SetContentLength(0)
	}
}

// fail answers with an error.
func (x *exchange) fail(err error, asked string) {
	status := statusOf(err)
	switch cause := context.Cause(x.ctx); {
	case errors.Is(cause, ErrClientLeft):
		status = statusClientLeft
	case errors.Is(cause, ErrStopping):
		status = http.StatusServiceUnavailable
	}
	switch {
	case status == http.StatusNotModified:
		x.plain(status, "", nil)
	case asked != "" && versionLess(asked, MinAPIVersion):
		// A client that old expects plain text, as moby's server gives it.
		x.plain(status, mediaText, []byte(err.Error()+"\n"))
	default:
		x.plain(status, mediaJSON, errorBody(err))
	}
	x.finish(status, err)
}

func errorBody(err error) []byte {
	body, encodeErr := encode(struct {
		Message string `json:"message"`
	}{err.Error()})
	if encodeErr != nil {
		return []byte(`{"message":"internal error"}`)
	}
	return body
}

// finish ends the exchange once: its context ends, the connection watches for nobody, the log has a line.
func (x *exchange) finish(status int, err error) {
	x.once.Do(func() {
		x.peer.finish(x.closing)
		x.interrupted = x.ctx.Err() != nil || x.server.streams.Err() != nil
		x.cancel(nil)
		if x.onEnd != nil {
			x.onEnd()
		}
		x.server.record(x, status, err)
		x.server.calls.Done()
	})
}

// encode is JSON as Docker writes it: no HTML escapes, a newline at the end.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (s *Server) panicked(r *Request, v any) error {
	s.log.Error("handler panicked", "id", r.id, "method", r.method, "path", r.path, "panic", v, "stack", string(debug.Stack()))
	return statusError{http.StatusInternalServerError, fmt.Sprintf("internal error: request %s failed", r.id)}
}

// record writes the request's line. What failed by the client's leaving or the server's stop is nobody's fault.
func (s *Server) record(x *exchange, status int, err error) {
	innocent := err == nil || status < http.StatusInternalServerError && status >= http.StatusMultipleChoices ||
		errors.Is(err, ErrClientLeft) || errors.Is(err, ErrStopping) || x.interrupted
	if innocent && !s.log.IsDebug() {
		return
	}
	args := []any{"id", x.req.id, "method", x.req.method, "path", x.req.path, "status", status, "took", time.Since(x.start)}
	if err != nil {
		args = append(args, "error", err)
	}
	if innocent {
		s.log.Debug("request", args...)
		return
	}
	s.log.Error("request failed", args...)
}
