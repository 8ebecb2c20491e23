// Package plan holds what shall be: networks, their endpoints and the uplink, parsed from the messages of the control API.
//
// Parsing is where the API's input is checked, all of it: what has become a value of this package has bounded lengths,
// valid addresses, and names that are safe as names of interfaces, of nftables chains and of rows in OVN.
package plan
