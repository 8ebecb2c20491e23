// Package layer3 is what the helper's kernel does: addresses of gateways and of the uplink, routes, and an nftables table
// that decides what is forwarded.
//
// Invariants: nothing is forwarded but what a rule names: from a network to the uplink, answers to it, and from the uplink
// to a network where the uplink says so. From network to network never. A gateway's address answers on its own interface
// alone. A network's rules are replaced by one transaction, so that no packet sees half of them.
package layer3
