// Package integration is Arca's behaviour as users see it: the real docker CLI against a real instance.
//
// Build tag integration; root; binaries in bin/. `make test-integration` runs it.
package integration
