// Package network holds the parts of vmhelper's network together: it attaches the links of running sandboxes to the relay,
// keeps what the frontend told of endpoints for those who carry connections, and owns relay, uplink and published ports.
//
// Invariants: every link of a sandbox that runs is attached, whichever worker booted it; a link that is taken away is let
// go by the relay before the driver removes it; a sandbox's end detaches the links of that boot alone.
package network
