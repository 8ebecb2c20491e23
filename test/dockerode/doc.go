// Package dockerode drives an instance with a JavaScript client, as editors and test tools do.
package dockerode
