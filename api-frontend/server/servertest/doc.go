// Package servertest serves a route table on a temporary unix socket, for tests of handlers.
package servertest
