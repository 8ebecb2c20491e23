// Package dns forwards queries of networks to the host's resolvers, which answer at an address beyond the uplink.
//
// It knows no name itself but host.docker.internal: those of containers are answered in the containers. Who may ask is decided twice: the kernel
// lets queries come to the gateways of networks that are not internal alone, and the forwarder answers no other source.
// Everything is bounded: queries under way, connections, and the time until SERVFAIL says that nobody answered.
package dns
