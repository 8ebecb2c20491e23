// Package soak holds the storms: many aborted clients, many containers at once, a database killed again and again.
//
// Build tag soak; root. ARCA_SOAK scales them: 1 is whole, CI runs a tenth.
package soak
