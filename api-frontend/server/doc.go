// Package server speaks HTTP for the Docker Engine API: it adapts handlers to fasthttp, routes, negotiates versions,
// maps errors to statuses, streams, hijacks, and tells a handler when its client has left.
//
// Invariants: a handler returns a Response or an error and never sees fasthttp; its context is cancelled when the peer
// closes its connection (a half-close does not count) or the server stops; nothing of a request outlives its handler,
// its stream function or its hijack function, and the server waits for all of them.
package server
