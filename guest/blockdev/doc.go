// Package blockdev finds the disks of a virtual machine by the serial numbers that their host gave them.
//
// Names like vdb follow the order of discovery and mean nothing; a disk that was plugged into a running machine may
// come a moment after the host has said so, which the kernel's uevents tell.
package blockdev
