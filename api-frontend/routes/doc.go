// Package routes holds the HTTP handlers of the Docker Engine API, one file per noun, and the table that joins them.
//
// Invariants: a handler decodes, calls its noun through an interface that is declared here, and encodes; it holds no
// state. The table is sorted and has no route twice.
package routes
