// Command compare runs the same docker command lines on Debian's dockerd and on Arca and shows where output or exit
// code differ. What must differ (IDs, times, versions) is replaced by its kind first.
//
//	build/compare.sh [-only TEXT]
package main
