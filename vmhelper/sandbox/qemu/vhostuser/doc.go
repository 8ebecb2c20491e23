// Package vhostuser is the back end of a virtio device that lives in this process: it speaks the vhost-user protocol
// with QEMU over one socket, maps the guest's memory, and gives a device its rings.
//
// The guest is hostile, and so is a QEMU that it has taken over: every address is looked up in the regions of the guest's memory and
// every length is checked at each use, a chain of descriptors is bounded by its ring, and what is malformed ends the
// device, never this process. The memory is shared: what was checked is never read from it again.
//
// See "Vhost-user Protocol" of the QEMU project and the OASIS "Virtual I/O Device (VIRTIO)" 1.2, section 2.7 (split
// virtqueues). Indirect descriptors, event indices, packed rings, logging and in-flight tracking are not offered.
package vhostuser
