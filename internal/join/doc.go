// Package join connects two byte streams to one another and keeps half-close in both directions.
//
// Invariants: when Join returns both streams are closed and nothing of it runs any more; the end of one direction is
// passed on as a half-close and leaves the other direction alone; a failure of either direction ends both.
package join
