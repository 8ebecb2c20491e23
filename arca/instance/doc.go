// Package instance knows the directory from which everything of an instance derives.
//
// Two instances share nothing: whoever knows the directory knows the sockets, the logs, the pid files.
package instance
