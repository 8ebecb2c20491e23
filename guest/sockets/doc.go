// Package sockets makes the unix sockets that containers see in the place of sockets of the host, and joins their
// connections to streams from the host.
//
// Invariants: a connection that nobody joins within Patience is closed; at most maxWaiting wait; a half-close travels in
// both directions; Close ends every connection of a container and returns when it has.
package sockets
