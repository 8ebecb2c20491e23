// Package daemon wires the rooms of arca-frontend together and runs them until it is told to end.
//
// Invariants: the store is opened first and closed last; containers are reconciled with what runs before a request can
// change them; at the end the API stops first, then containers (unless live-restore says otherwise), then all the rest.
package daemon
