// Package relay is the packet switch of vmhelper: it carries Ethernet frames between the links of sandboxes.
//
// What it knows was told to it (Sync, Change); it learns nothing from traffic. Unicast between endpoints of a network
// goes straight from the reader of one link to the descriptor of the other; ARP and neighbour solicitations for known
// addresses are answered; all else goes to the trunk of OVS, tagged with the VLAN of the endpoint that sent it.
//
// Invariants:
//   - A frame is read into one buffer with headroom and written from it: no copy and no allocation on that way.
//   - The table is an immutable snapshot behind one atomic pointer. A frame sees one snapshot from its arrival to its end.
//   - Each link has one reading goroutine, which nothing of another link can block: a link that takes no frame now has
//     a bounded queue of its own, from which the oldest frame falls.
//   - A descriptor is closed only after the last writer has left it, so that no frame reaches a reused number.
//   - Every byte of a frame comes from a guest: every accessor looks at the length first.
package relay
