// Package peer runs Debian's dockerd beside Arca, for comparison: unpacked, never installed, in a network namespace of
// its own with its own data, and ended with everything it started.
package peer
