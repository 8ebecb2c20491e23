// Package conformance is the suite that every driver of sandboxes passes. A driver's test calls [Run] with a function
// that makes an instance; the suite's names are the sentences of the contract in package sandbox.
package conformance
