// Package system tells what the engine is and what it uses: version, info, disk usage, and whether a registry takes
// credentials.
//
// Invariants: every figure is measured when it is asked for, or read from the engine's own state; a source that fails
// is a warning in info, never a failed info. The operating system's type is always linux, because containers are.
package system
