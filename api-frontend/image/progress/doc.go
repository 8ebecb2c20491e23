// Package progress writes the JSON stream by which clients draw a pull, a push or a load.
//
// Invariants: whoever reports never waits for the client: what is not yet written is coalesced, one pending line per
// object and step, so the queue is bounded by the number of objects; a step's order is kept.
package progress
