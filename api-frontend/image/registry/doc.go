// Package registry speaks to image registries: endpoints and mirrors, authentication, manifests, blobs from any offset.
//
// Invariants: credentials go to the registry they were given for (and to the token service that it names) and are never
// sent on a redirect to another host, nor in clear text to a host that is not configured as insecure; a manifest is
// believed only when its digest and its media type are right and it is not two kinds of object at once; every dial has a
// short deadline, so that an unreachable registry is told within five seconds.
package registry
