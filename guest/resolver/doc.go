// Package resolver answers the DNS questions of one container: names of its networks from a table that the frontend
// pushes, all others by asking the resolvers behind its networks.
//
// It listens on a high port of 127.0.0.11 in the container's network namespace, because the container may bind port 53
// of all addresses itself. Two pairs of nftables rules rewrite port 53 to that port and back. They keep no state: a
// container whose packets need no connection tracking does without it.
//
// Invariants: what comes from the container is hostile, and bounded in size, time and number; a question is asked outside
// from within the container's namespace alone; a table that was set is what the next answer comes from; Close returns when
// no goroutine, socket or rule is left.
package resolver
