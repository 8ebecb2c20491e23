package launchctl

// Own is a session without launchd.
func Own() Session { return Session{} }
