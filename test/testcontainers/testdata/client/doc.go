// Package client tests an engine with testcontainers-go, as applications test themselves with it. It is a module of its
// own, so that nothing of the product depends on what the client depends on.
package client
