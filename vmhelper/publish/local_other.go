//go:build !linux

package publish

import "net"

const oobSize = 0

// localAddress is the address of this machine that a client spoke to, which this system does not tell.
type localAddress struct{}

func prepareUDP(*net.UDPConn, bool) error { return nil }

func parseLocal([]byte) localAddress { return localAddress{} }

func (localAddress) oob() []byte { return nil }
