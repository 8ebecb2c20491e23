// Package publish listens on ports of the host and carries what arrives to an endpoint of a network.
//
// A client is carried by a connection of the user-space stack that enters the network through a portal of the relay,
// behind the gateway's MAC address: the container sees the true address of a remote client, and the gateway's for one of
// this machine. The helper takes no part in it.
//
// Listeners and their descriptions are stored with the keeper, so a port stays open when the worker dies: a client that
// comes meanwhile waits in the listener's queue.
//
// Invariants: all addresses of a port get the same number, or none is opened; connections, datagram flows and waiting
// clients are bounded; a port that is taken back has no connection left; Close waits for every goroutine, and leaves what
// is stored where it is.
package publish
