// Package desired holds what networks and endpoints are meant to be: the committed state that the relay, the helper and
// the agents are told, and that each of them is told again after any restart.
//
// Invariants: what is here is committed before anybody is told; an endpoint's Generation grows with every change of it, so
// that a late message never undoes a newer one.
package desired
