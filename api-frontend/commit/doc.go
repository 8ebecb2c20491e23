// Package commit makes an image of what a container has changed, for `docker commit`.
//
// Invariant: a container that was paused for it goes on afterwards, however it ends.
package commit
