// Package netconf makes the network namespaces of containers, and in them the interfaces, addresses and routes that
// proto/guest/v1's NetworkConfig names.
//
// Moving a link to another namespace takes the kernel 10 to 40 milliseconds (it waits until no processor looks at the
// link any more), which is more than all the rest of a start. So the first container of a sandbox gets the namespace in
// which the links already are, the sandbox's own: the agent itself needs no network. Later ones get new namespaces, to
// which their links are moved. A trunk is never in the namespace that is given away.
//
// Invariants: the sandbox's namespace is given at most once, and never where it is the host's; a configuration that is
// applied twice changes nothing; what a failed configuration has done is known, so that the next one goes on from there;
// no goroutine runs on a thread that was left in a container's namespace.
package netconf
