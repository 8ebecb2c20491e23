package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
)

const (
	socketMode = 0o660
	probeTime  = time.Second
)

// ListenOptions say how to listen.
type ListenOptions struct {
	// Group may use a unix socket: a name or a number; empty leaves the group alone.
	Group string
	// TLS is needed for TCP; see TLSConfig.
	TLS *tls.Config
}

// Listen opens a listener at "unix://PATH" or "tcp://ADDRESS:PORT". A unix socket is 0660 from the moment that it can
// be seen; one that a dead engine left is replaced, one that answers is an error. TCP is served with TLS alone.
func Listen(ctx context.Context, address string, o ListenOptions) (net.Listener, error) {
	scheme, at, _ := strings.Cut(address, "://")
	switch {
	case scheme == "unix":
		return listenUnix(ctx, at, o.Group)
	case scheme != "tcp":
		return nil, fmt.Errorf("listen on %s: it must be unix://PATH or tcp://ADDRESS:PORT", address)
	case o.TLS == nil || o.TLS.ClientAuth != tls.RequireAndVerifyClientCert:
		return nil, fmt.Errorf("listen on %s: TCP is served only with TLS client certificates", address)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return tls.NewListener(l, o.TLS), nil
}

// TLSConfig serves with a certificate, and wants the clients' signed by the authority.
func TLSConfig(ca, cert, key string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("load TLS authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("load TLS authority: %s has no certificate", ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12}, nil
}

// listenUnix binds beside the path and moves the socket there when its mode and group are right.
func listenUnix(ctx context.Context, path, group string) (net.Listener, error) {
	if err := claimPath(ctx, path); err != nil {
		return nil, err
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", fresh)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) //nolint:forcetypeassert // The network is unix.
	err = errors.Join(os.Chmod(fresh, socketMode), chgrp(fresh, group))
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("place socket %s: %w", path, err), l.Close(), os.Remove(fresh))
	}
	return &unixListener{Listener: l, path: path}, nil
}

// claimPath makes sure that nobody serves at the path.
func claimPath(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("listen on %s: there is a file that is no socket", path)
	}
	conn, err := (&net.Dialer{Timeout: probeTime}).DialContext(ctx, "unix", path)
	if err != nil {
		// Nobody answers: a dead engine left it. The rename replaces it.
		return nil
	}
	_ = conn.Close()
	return fmt.Errorf("listen on %s: another engine serves there", path)
}

func chgrp(path, group string) error {
	if group == "" {
		return nil
	}
	gid, err := strconv.Atoi(group)
	if err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("find group: %w", err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
	}
	return os.Chown(path, -1, gid)
}

// unixListener removes its socket when it is closed.
type unixListener struct {
	net.Listener
	path string
}

func (l *unixListener) Close() error {
	err := os.Remove(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.Listener.Close())
}
