// Package rootfs builds the root file systems of containers: the overlay of their layers, and everything that is
// mounted into it, staged where neither the container nor a race can change what a path means.
//
// Each BIND is resolved once, within its attachment, to a descriptor whose mount is cloned to a staging point; runc and
// the archive's view mount from there. Nothing is mounted over the overlay in the agent's own mount namespace.
//
// Invariants: a path that a container controls is only ever resolved by the kernel below a descriptor (openat2,
// RESOLVE_IN_ROOT); a layer is mounted once, however many containers use it; Unmount leaves nothing behind.
package rootfs
