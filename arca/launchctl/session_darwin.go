package launchctl

import "os"

// Own is the session of the caller.
func Own() Session {
	return Session{Program: "/bin/launchctl", Agents: "/Library/LaunchAgents", UID: os.Getuid()}
}
