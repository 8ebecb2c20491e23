// Package vsock is a virtio socket device in this process: its Dial opens streams to AF_VSOCK listeners of one virtual
// machine, without /dev/vhost-vsock, without privilege, and without a guest address that anybody else could reach.
//
// Only this side opens connections; a guest that tries is refused. Flow control is by credit, in both directions: a guest
// that sends more than it was allowed to is reset, and what this side queues for a guest that does not read is nothing
// but flags. One lock guards a device: it serves one machine.
//
// See VIRTIO 1.2, section 5.10 (Socket Device).
package vsock
