package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/valyala/fasthttp"
)

var (
	errNoPage  error = statusError{http.StatusNotFound, "page not found"}
	errBrowser error = statusError{http.StatusForbidden, "requests from a web browser are refused"}
)

func newRequest(fc *fasthttp.RequestCtx, id string) *Request {
	h := &fc.Request.Header
	return &Request{
		id:      id,
		method:  string(fc.Method()),
		path:    string(fc.Path()),
		header:  func(key string) string { return string(h.Peek(key)) },
		length:  bodyLength(h),
		remote:  fc.RemoteAddr(),
		upgrade: len(h.Peek("Upgrade")) > 0,
	}
}

// bodyLength is -1 for a chunked body, and 0 when the request says nothing of a body.
func bodyLength(h *fasthttp.RequestHeader) int64 {
	const unsaid = -2
	n := h.ContentLength()
	if n <= unsaid {
		return 0
	}
	return int64(n)
}

// bodyReader gives the body as it comes.
func bodyReader(fc *fasthttp.RequestCtx, length int64) *bodyStream {
	stream := fc.RequestBodyStream()
	if stream == nil {
		return &bodyStream{r: bytes.NewReader(fc.Request.Body()), length: -1, ended: true}
	}
	return &bodyStream{r: stream, length: length, ended: length == 0}
}

// bodyStream is a body as it comes. fasthttp takes the end of the connection for the end of the body; a body of known
// length that stops short is torn.
type bodyStream struct {
	r      io.Reader
	length int64 // -1: chunked.
	read   int64
	ended  bool
}

// left is how much is unread; -1 is unknown.
func (b *bodyStream) left() int64 {
	switch {
	case b.ended:
		return 0
	case b.length < 0:
		return -1
	}
	return b.length - b.read
}

func (b *bodyStream) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.read += int64(n)
	if errors.Is(err, io.EOF) && b.read < b.length {
		return n, io.ErrUnexpectedEOF
	}
	b.ended = b.ended || errors.Is(err, io.EOF) || b.read == b.length
	return n, err
}

// limitedBody ends with errBodyTooLarge behind its limit.
type limitedBody struct {
	r    io.Reader
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errBodyTooLarge
	}
	return n, err
}

// refuseBrowser refuses what looks like a browser's request: one with an origin, or over plain TCP one for a name that
// is not this machine's (DNS rebinding). Under TLS the client has checked the name against the certificate.
func refuseBrowser(fc *fasthttp.RequestCtx, peer *peerConn) error {
	if len(fc.Request.Header.Peek("Origin")) > 0 {
		return errBrowser
	}
	if _, tcp := peer.Conn.(*net.TCPConn); !tcp {
		return nil
	}
	host := string(fc.Host())
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "" || strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil {
		return nil
	}
	return errBrowser
}

// refuse answers a request that could not be read as HTTP.
func (s *Server) refuse(fc *fasthttp.RequestCtx, err error) {
	status := http.StatusBadRequest
	var small *fasthttp.ErrSmallBuffer
	if errors.As(err, &small) {
		status = http.StatusRequestHeaderFieldsTooLarge
	}
	fc.SetStatusCode(status)
	fc.SetContentType(mediaJSON)
	fc.SetBody(errorBody(errors.New("malformed request: " + err.Error())))
}

// quiet lets fasthttp's own complaints go to the debug log: they are about clients.
type quiet struct{ log hclog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("http", "message", hclog.Fmt(format, args...))
}
