// Package privileged is the keeper's Backend for namespace sandboxes: everything of the driver that needs root.
//
// It starts agents in their namespaces and control groups, gives them disks (loop devices), uppers, volumes and binds
// as detached mounts over their boot sockets, ends them, and finds them again after the keeper itself was killed. What
// an agent answers it never reads: that is the worker's.
//
// Invariants: a request names things by checked IDs, never by paths, but for bind sources, which are opened with the
// rights of the instance's owner on a thread of its own; a sandbox is announced as ended only when no process, group,
// device or directory of it is left; a record is on disk before the first process of its sandbox exists.
package privileged
