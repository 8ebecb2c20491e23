// Package normal brings what a client asks of a container into one normal form, or refuses it in Docker's words.
//
// A create body is normalised once (Binds and Mounts, old and new fields, links, VolumesFrom, the volumes of the
// image); policy and everything after it look at the normal form alone, which is a record.Container.
//
// Invariants: every field of the create body stands in Fields as honoured, refused or ignored as dockerd ignores it
// on Linux, and tests keep that table complete and true; nothing here reads or writes anything but what the
// Environment hands in; no input makes it panic.
package normal
