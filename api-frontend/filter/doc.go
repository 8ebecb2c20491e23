// Package filter decodes and applies the "filters" parameter of the Docker Engine API.
//
// Invariants: a Filter is never changed after Parse and is safe for any number of goroutines; a key without values
// filters nothing.
package filter
