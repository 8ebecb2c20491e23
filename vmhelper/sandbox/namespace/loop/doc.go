// Package loop attaches read-only disk images to loop devices, once per image, however many sandboxes use it.
//
// Invariants: a device is read-only and clears itself when its last user is gone, so nothing is left behind even by a
// kill; an image that nobody uses keeps its device for a few seconds, because the next start wants it again.
package loop
