// Package namespace is the driver whose sandboxes are sets of Linux namespaces. It runs in the unprivileged worker: all
// that needs root it asks of the keeper (package privileged), and what agents answer is read here alone.
//
// Invariants: sandboxes outlive this process, so everything it knows can be learnt anew from the keeper; a sandbox
// that had not finished booting when its worker died is ended by the next one.
package namespace
