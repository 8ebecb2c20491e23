package server

import (
	"io"
	"net"
	"net/http"
	"net/url"
)

// Request is one request, decoded as far as every handler needs it. It is valid until its handler and the stream or
// hijack function that the handler returned have ended. Its methods may be called by several goroutines at once, except
// Header and Body.
type Request struct {
	id      string
	method  string
	path    string
	version string
	query   url.Values
	vars    []pathVar
	header  func(key string) string
	body    io.Reader
	length  int64
	remote  net.Addr
	upgrade bool
}

type pathVar struct{ name, value string }

// ID is the request's number in the log.
func (r *Request) ID() string { return r.id }

// Method is the HTTP method.
func (r *Request) Method() string { return r.method }

// Path is the decoded path as the client sent it, version included.
func (r *Request) Path() string { return r.path }

// Var returns the part of the path that "{name}" or "{name:*}" matched, decoded.
func (r *Request) Var(name string) string {
	for i := range r.vars {
		if r.vars[i].name == name {
			return r.vars[i].value
		}
	}
	return ""
}

// Version is the API version of this request: the path's, or the newest.
func (r *Request) Version() string { return r.version }

// VersionLess says whether this request speaks an older API than v.
func (r *Request) VersionLess(v string) bool { return versionLess(r.version, v) }

// Header returns the first value of a header field.
func (r *Request) Header(key string) string { return r.header(http.CanonicalHeaderKey(key)) }

// Body is the request's body. On routes without StreamBody it ends with an error at the limit.
func (r *Request) Body() io.Reader { return r.body }

// ContentLength is the body's length, or -1 when the client did not say.
func (r *Request) ContentLength() int64 { return r.length }

// RemoteAddr is the peer's address.
func (r *Request) RemoteAddr() net.Addr { return r.remote }

// Upgrade says whether the client asked to upgrade the connection: an Upgrade field is enough, as for dockerd.
func (r *Request) Upgrade() bool { return r.upgrade }

// StreamType is the media type of a container's output in this request's version: frames for what is not a terminal,
// from API 1.42 on.
func (r *Request) StreamType(tty bool) string {
	if tty || r.VersionLess("1.42") {
		return MediaRaw
	}
	return MediaMultiplexed
}
