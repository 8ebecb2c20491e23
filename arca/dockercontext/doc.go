// Package dockercontext writes the context by which the docker CLI finds an instance without DOCKER_HOST.
package dockercontext
