// Package keeper is the root process of vmhelper: it starts the worker and starts it again when it dies, keeps open
// descriptors by name across the worker's death, and passes the worker's requests for privileged work to a Backend.
//
// It has no parser but for the fixed, bounded messages of package wire, no gRPC and no network: what it must never do
// is die. A worker is confined (its own uid, CAP_NET_BIND_SERVICE alone, no_new_privs) and can ask for nothing that a
// message of the Backend does not name. Processes whose lives are bound to the keeper's hold one end of a pipe or
// socket whose other end it alone has: the worker its keeper socket, the owner process of a VM a pipe.
//
// Invariants: one worker at a time; what one worker asked for is finished before the next one is started, so a backend
// never serves two; a panic in a request ends that request alone.
package keeper
