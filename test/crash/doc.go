// Package crash kills each part of an instance under load and checks, row by row, who outlives whom: no byte of output,
// no exit code and no restart is lost, and nothing is orphaned.
package crash
