// Package policy reads the rules of a network's policy from its options com.arca.policy.NAME.
//
//	allow|deny [between|in|out] [tcp|udp|icmp] [from PEER] [to PEER] [port N[-M]]
//	PEER: an address, a CIDR, any, or "network NAME"
//
// Invariants: rules are in the order of their names; a text that is not wholly understood is an error that names its option.
package policy
