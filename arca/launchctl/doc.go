// Package launchctl starts the jobs that launchd keeps running in the user's session, where the package installed them.
//
// It speaks to launchd through launchctl(1), which is its only documented interface. A job that launchd does not have is
// no error: then `arca up` starts a supervisor of its own.
package launchctl
