package server

import "context"

// Handler answers one request. Its context ends when the client leaves, when the server stops, or after the answer
// has been written. An error is mapped to a status by its errdefs class and sent as {"message": ...}.
type Handler func(ctx context.Context, r *Request) (Response, error)

// Route is one line of the route table.
type Route struct {
	// Method is the HTTP method. A GET route answers HEAD only where a HEAD route says so.
	Method string
	// Path is absolute and unversioned. "{name}" matches one segment; "{name:*}" matches one or more segments, also in
	// the middle of a path ("/images/{name:*}/json").
	Path string
	// MinVersion is the first API version that has this route; empty means always.
	MinVersion string
	// Handler answers.
	Handler Handler
	// StreamBody says that the body is read by the handler as it comes, without a limit. Other routes' bodies are
	// bounded.
	StreamBody bool
}
