// Package daemon says how the daemons of OVS and OVN are run: their programs, arguments, files and databases.
//
// Everything that they write is below one directory of a memory file system: nothing of it is worth keeping, the frontend
// says it again. One ovsdb-server serves all three databases. No daemon listens on a network address.
package daemon
