// Package ipam chooses subnets for networks and addresses for endpoints, in dockerd's order and with its refusals.
//
// Invariants: it holds nothing durable: who has what is told by the committed networks and endpoints, from which a Set is
// made again at any start; the lowest free address is the next one, as dockerd's; what it does not know to be free it never
// gives.
package ipam
