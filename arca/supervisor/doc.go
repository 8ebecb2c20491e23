// Package supervisor keeps one daemon running where neither launchd nor systemd does: it starts it, writes its log,
// restarts it at once with a back-off when it ends, and on SIGTERM stops it and waits.
//
// At most one supervisor per job and home exists: it holds a lock for its whole life. Its state file says which
// processes it and its daemon are, with their start times.
package supervisor
