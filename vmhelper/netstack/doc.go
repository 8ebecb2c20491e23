// Package netstack puts gVisor's user-space TCP/IP stack at a place where ethernet frames with a virtio_net_hdr_v1 come
// and go: an in-process end of the relay.
//
// Segments of up to 64 KiB cross in both directions with partial checksums, so a stream costs few frames. Conn is a TCP
// connection of the stack, and Splice joins one with a connection of the host, with one copy in each direction.
//
// Invariants: a frame is valid during its delivery alone and is copied once; what a frame claims of itself is checked
// before it is believed; nothing of the stack blocks the goroutine that delivers a frame; Close waits for what the stack
// started.
package netstack
