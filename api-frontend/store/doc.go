// Package store keeps the durable Docker state of an instance in one bbolt database.
//
// Invariants: one writer process (the file is locked); one transaction per effect of an API call; values are JSON
// and tolerate unknown fields, so that an older build can read a newer database.
package store
