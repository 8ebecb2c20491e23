// Package thread runs a function on an operating system thread that ends with it, for what changes a thread for good:
// its credentials, its control groups, its namespaces.
//
// Invariant: the thread is never the process's first one, which the runtime cannot end and would keep, changed.
package thread
