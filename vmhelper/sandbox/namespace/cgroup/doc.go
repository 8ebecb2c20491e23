// Package cgroup makes, empties and removes the control groups of namespace sandboxes, on version 1, hybrid and
// unified systems.
//
// In version 1 hierarchies the groups lie below the keeper's own group, so limits of the instance hold for its
// sandboxes; in version 2 they lie below /arca, because a group with processes may not hand controllers down.
//
// Invariants: every path is made of this package's own names and a checked ID; a group is removed only when it is
// empty; a frozen process is thawed before it is killed, because version 1 would keep it for ever.
package cgroup
