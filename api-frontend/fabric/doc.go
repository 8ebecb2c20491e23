// Package fabric makes the world as the desired state of networks says: it programmes vmhelper's relay, its uplink and the
// published ports, and runs the helper, a sandbox with OVS, OVN, nftables and a DNS forwarder in it.
//
// What shall be is held in a [table] that mirrors the committed state of networks and endpoints. It is changed before
// anybody is told; whoever was away (the worker, the helper) is told everything when it is back, again and again until
// nothing has changed meanwhile.
//
// Invariants: rights are granted in OVN first and revoked in the relay first; that the helper is down fails no call and
// delays a start by no more than awaitFirst, and later awaitAgain; no lock is held across a call.
package fabric
