package server

import (
	"crypto/tls"
	"net"
	"syscall"
)

// baseConn is the connection under TLS.
func baseConn(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// rawConn gives a connection's descriptor, or nil where there is none.
func rawConn(c net.Conn) syscall.RawConn {
	sc, ok := baseConn(c).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
