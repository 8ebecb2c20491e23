// Package service is the gRPC face of vmhelper (proto/vmhelper/v1): it authorises, validates, translates, and watches.
//
// Invariants: a method is served only to a uid that the table of methods names for it; every length, count and name is
// checked before a driver sees it; errors cross the wire classified, in one place; what a driver yields as a
// descriptor leaves through the descriptor server, never through gRPC.
package service
