// Package stdio carries the input and output of processes: pipes and terminals, the spool between a process and
// whoever reads its output, and the frames of internal/guestwire.
//
// Output goes from the pipe into a ring of memory, and when that is full into a ring on disk; when that is full too it
// stays in the pipe, and the process blocks. Records leave the rings when they are acknowledged, in the order in which
// they came.
//
// Invariants: nothing that was read from a pipe is dropped before it is acknowledged or the spool is closed; the bytes
// of one stream keep their order and their offsets; one reader at a time; memory and file are bounded.
package stdio
