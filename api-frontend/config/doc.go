// Package config reads the engine's configuration: daemon.json and flags, with Docker's names and Docker's refusals.
//
// Invariants: the table in options.go names every directive that dockerd has, and says for each what it sets or why it
// is refused; nothing is accepted and then ignored. A directive comes from a flag or from the file, never from both.
package config
