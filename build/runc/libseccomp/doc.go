// Package seccomp stands in the place of libseccomp's Go package when runc is built. It hands everything on to it, but
// for filters that were compiled when runc was built: libseccomp takes some 20 ms for Docker's default profile, which
// every start and every exec would pay.
//
// Invariants: a compiled filter is libseccomp's own output for exactly the same calls in the same order; at the first
// call that is not the recorded one, all calls so far are made to libseccomp, and all later ones too.
package seccomp
