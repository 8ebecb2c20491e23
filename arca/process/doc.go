// Package process names processes so that a reused pid is never mistaken for the process that was meant.
package process
