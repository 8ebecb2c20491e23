// Package launchd holds the jobs of Arca on macOS as launchd.plist(5) describes them, and the entitlements of vmhelper.
//
// Two sets are shipped. The agents run in a user's session and serve that user's instance (~/.arca). The daemons serve
// one user's instance on a machine without a session (a build machine): they run with that user's uid, never as root,
// because Virtualization.framework would otherwise give binds root's rights. The plists are files of their own so that
// what is installed can be read; a test holds them to the keys and types that launchd knows.
package launchd
