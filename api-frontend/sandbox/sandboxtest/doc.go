// Package sandboxtest is a vmhelper with agents for tests: real gRPC, descriptors and streams over unix sockets, but sandboxes
// that are structs and processes that are Go functions. It counts calls, fails them on demand before or after their
// effect, and can go away and come back while its sandboxes live on.
package sandboxtest
