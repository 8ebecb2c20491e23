// Package ovn makes networks in OVN: a network is a logical switch, an endpoint a logical port of it. All ports are behind
// one interface of OVS, the trunk, and are told apart by their VLAN there (OVN's nested ports: parent_name and tag).
//
// It drives OVSDB with libovsdb, by transactions alone, and reads back only what tells whether the daemons work. What it
// has committed it remembers; when a transaction's fate is unknown, or a database came back without the marker that it
// left there, everything is made anew.
//
// Invariants: no rule is stateful (conntrack of the userspace datapath aborts ovs-vswitchd 3.1); one transaction makes
// one change, so OVN never sees half of it.
package ovn
