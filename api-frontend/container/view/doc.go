// Package view shows records as the API's answers: inspect, the list, its filters, and what older versions saw.
//
// Invariants: a view never changes the record it shows, nor keeps parts of it that may change; what costs time to
// render is rendered once per record (Entry), so that a list of many containers is mostly copied.
package view
