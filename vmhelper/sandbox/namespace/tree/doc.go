// Package tree measures and removes directory trees that containers made: uppers and volumes.
//
// Such a tree is hostile: it may be deeper than paths or descriptors reach, swap directories for links while it is
// read, and have file systems mounted in it. Invariants: nothing is resolved by path, only name by name below an open
// directory; links are never followed and mounts never crossed; the number of open descriptors is bounded.
package tree
