//go:build !linux

package testagent

// Main does nothing: there is no driver for this system yet.
func Main() {}
