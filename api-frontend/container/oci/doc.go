// Package oci turns the record of a container into what a guest agent runs: the OCI spec, the mounts, the injected
// files and the namespaces, with Docker's defaults.
//
// Invariants: a spec depends on the record and on World alone; a default container has Docker's 14 capabilities, its
// seccomp profile (which denies AF_VSOCK), its masked and read-only paths; what the agent sets itself (the root's
// path, hooks, the user, the cgroup, the paths of namespaces) is left out.
package oci
