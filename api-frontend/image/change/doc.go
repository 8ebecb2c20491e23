// Package change applies the Dockerfile instructions of `docker commit --change` and `docker import --change` to an
// image's configuration.
//
// Invariant: an instruction is applied as dockerd's builder would, or refused; nothing is run and no file is read.
package change
