// Package volume keeps named and anonymous volumes: their records, who uses them, and their stores at vmhelper.
//
// Invariants: a volume's store is named by a random ID that is never used again, so names never become paths and a name
// is free at once when its volume is removed; a record is committed before its store is made and a store is removed only
// after its record is gone, so that what a crash leaves behind is found by Reconcile; the users of a volume are part of
// its record and change in the transactions that make and remove containers.
package volume
