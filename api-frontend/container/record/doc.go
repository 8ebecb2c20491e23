// Package record holds what the engine knows durably about one container, and the machine of its states.
//
// Invariants: a record is a plain JSON value, written whole in one transaction; everything in it is in normal form
// (package normal made it), so that readers never look at what a client sent; a record that was read is never
// changed in place (Clone it first); the status changes through the methods of State alone.
package record
