// Package testagent is the smallest agent that a driver can boot: it speaks the boot protocol, attaches what it is
// given, and answers Hello, Shutdown and StatPath (with paths of the sandbox itself). A test binary becomes one by
// calling Main first.
package testagent
