// Package archive serves docker cp and diff inside the guest.
//
// A view of a container is a thread with a mount namespace of its own, whose root directory is the container's overlay
// with its volumes, binds and injected files mounted into it. Everything that resolves a path of the container runs on
// such a thread, so the kernel confines every link, whatever the container does meanwhile. Nothing is ever executed
// there, and the view ends with its thread.
//
// Invariants: no path of a container is resolved outside a view or a descriptor's root; descriptors that lead out are
// opened before the view is entered and closed after it; a view never shows /proc, /sys or devices of the sandbox.
package archive
