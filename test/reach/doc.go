// Package reach tests, as root with raw sockets inside of containers, that a container reaches what its networks hold
// and nothing else: no other network's endpoint or gateway by any protocol, no control socket of the engine.
//
// Each test that finds nothing runs the same attack where it has to find something: an attack that never arrives
// anywhere proves nothing.
package reach
