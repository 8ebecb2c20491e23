package peercred

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Peer is what the kernel says of the process at the other end.
type Peer struct {
	UID, GID uint32
	PID      int32
}

// Allow decides whether a peer may speak.
type Allow func(Peer) error

// UIDs allows these uids and nobody else.
func UIDs(uids ...uint32) Allow {
	uids = slices.Clone(uids)
	return func(p Peer) error {
		if slices.Contains(uids, p.UID) {
			return nil
		}
		return fmt.Errorf("uid %d may not connect here: %w", p.UID, errdefs.ErrPermissionDenied)
	}
}

// Of asks the kernel who is at the other end of c.
func Of(c net.Conn) (Peer, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("read peer credentials of a %T: %w", c, errdefs.ErrInvalidArgument)
	}
	rc, err := uc.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	var p Peer
	var cerr error
	if err = rc.Control(func(fd uintptr) { p, cerr = ofFD(int(fd)) }); err == nil {
		err = cerr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", err)
	}
	return p, nil
}

type authInfo struct {
	credentials.CommonAuthInfo
	Peer
}

// AuthType names the kind of authentication.
func (authInfo) AuthType() string { return "peercred" }

type creds struct{ allow Allow }

var _ credentials.TransportCredentials = creds{}

// Credentials are gRPC transport credentials that check each peer with allow, before a byte of gRPC is read.
func Credentials(allow Allow) credentials.TransportCredentials { return creds{allow} }

func (c creds) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.check(conn)
}

func (c creds) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.check(conn)
}

func (c creds) check(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p, err := Of(conn)
	if err == nil {
		err = c.allow(p)
	}
	if err != nil {
		return nil, nil, err
	}
	// The socket never leaves the machine: the kernel itself keeps it private and whole.
	return conn, authInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, p}, nil
}

func (c creds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peercred"}
}
func (c creds) Clone() credentials.TransportCredentials { return c }
func (c creds) OverrideServerName(string) error         { return nil }

// FromContext returns the peer of a gRPC call that came over Credentials.
func FromContext(ctx context.Context) (Peer, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if a, ok := p.AuthInfo.(authInfo); ok {
			return a.Peer, nil
		}
	}
	return Peer{}, fmt.Errorf("the caller is unknown: %w", errdefs.ErrUnauthenticated)
}

// Listener accepts only the peers that Allow allows; refused ones are closed and told to Refused, which may be nil.
type Listener struct {
	net.Listener
	Allow   Allow
	Refused func(error)
}

// Accept waits for the next allowed peer.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, err := Of(c)
		if err == nil {
			err = l.Allow(p)
		}
		if err == nil {
			return c, nil
		}
		if cerr := c.Close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
		if l.Refused != nil {
			l.Refused(err)
		}
	}
}
