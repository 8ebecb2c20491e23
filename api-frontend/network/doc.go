// Package network is the model of networks: which there are, who is in them with which addresses, names and ports, and
// Docker's rules for all of that.
//
// Invariants: what others are told (Fabric, Containers) is committed before; an address, a tag and a MAC address are those
// of one endpoint from before its first grant until after its last revocation; everything that is in use is derived from the
// committed networks and runs, nothing is counted apart; what is in the maps of a Service is never changed in place.
package network
