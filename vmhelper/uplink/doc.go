// Package uplink ends the helper's uplink in a user-space TCP/IP stack, which opens sockets of the host: so containers reach
// what the host reaches, whatever its routes, and nothing of the host's firewall or routes is touched.
//
// TCP connections, UDP flows and echo requests are carried each by a socket of its own. One address answers DNS by asking
// the host's resolvers, one stands for the host's loopback.
//
// Invariants: nothing is sent where no container may go: loopback by its own address, broadcast, multicast, the uplink's own
// subnet, listeners that are denied; connections, flows, and what is half open are bounded, in all and of one source;
// each goes at last when it is idle; Close waits for every goroutine.
package uplink
