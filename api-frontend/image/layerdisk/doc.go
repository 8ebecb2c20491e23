// Package layerdisk turns the tar stream of an image layer into a read-only ext4 disk, in one streaming pass.
//
// Invariants: the content lies under "rootfs/" of the disk (so the file system's lost+found stays invisible); whiteouts
// and opaque folders are in overlayfs's form; no xattr of overlayfs is taken from the stream; names, links and devices
// stay inside the disk, nothing of the stream touches the host's file system; sizes and entry counts are bounded.
package layerdisk
