// Package wire is what the keeper and its worker say to each other: typed messages of fixed fields, one per packet of
// an inherited SOCK_SEQPACKET pair, with descriptors beside them.
//
// Invariants: a packet has at most MaxPacket bytes and MaxFiles descriptors; every string and list is bounded where
// its message is declared, and decoding checks the bound before it takes memory; a body that is too short or too
// long is refused.
package wire
