// Package harness starts instances of Arca for tests and drives them with the real docker CLI.
//
// An instance is started with `arca up --home` in a directory of its own, finds the fixture images under docker.io's
// names by a mirror in the test's process, and never reaches another registry: those fail at once.
package harness
