// Package initproc is what the agent does as the first process of its sandbox: it makes the world in which containers
// run (a root of its own, /proc, /sys, /dev, control groups), takes attachments, and opens the control channel.
//
// The environment says how the agent was started (bootwire.Env); each way is a Boot function that yields a World.
//
// Invariants: when a boot has ended, no descriptor and no mount of the agent leads to the host but the attachments and
// the listener; every descriptor is closed on exec.
package initproc
