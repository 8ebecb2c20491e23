// Package child starts processes from typed specs and watches them by pidfd: the worker, the agents of namespace
// sandboxes, later the owner processes of VMs.
//
// A child whose life must end with the keeper's (a VM's owner, the worker) is given one end of a pipe or socket whose
// other end the keeper alone holds, and exits when that closes; a child that outlives the keeper (a namespace agent)
// is found again with [Adopt], which checks its start time behind a pidfd, so that a reused pid is never taken for it.
//
// Invariants: a child inherits exactly the files of its spec; a confined child has no_new_privs, an empty bounding set
// but for its capabilities, and no groups but those of its credential; a watched child costs no thread.
package child
