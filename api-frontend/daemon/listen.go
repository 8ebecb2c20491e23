package daemon

import (
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

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/config"
)

// socketMode lets the owner and the group use the API, and nobody else (TRUST: the socket is the keys to the machine).
const socketMode = 0o660

var errNoImage = errdefs.ErrInvalidArgument.WithMessage("no image specified")

func badPlatform(err error) error {
	return errdefs.ErrInvalidArgument.WithMessage(err.Error())
}

// listenUnix serves the API at path. A socket left behind by a crash is replaced; one that answers is not.
func listenUnix(path, group string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("listen on %s: another arca-frontend serves there: %w", path, errdefs.ErrAlreadyExists)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	// The socket must never be there with a wider mode: it is bound under a temporary name.
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	l, err := net.Listen("unix", tmp)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := prepareSocket(tmp, path, group); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func prepareSocket(tmp, path, group string) error {
	if group != "" {
		gid, err := lookupGroup(group)
		if err != nil {
			return err
		}
		if err := os.Chown(tmp, -1, gid); err != nil {
			return fmt.Errorf("give the API socket to group %s: %w", group, err)
		}
	}
	if err := os.Chmod(tmp, socketMode); err != nil {
		return fmt.Errorf("protect the API socket: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("publish the API socket: %w", err)
	}
	return nil
}

func lookupGroup(name string) (int, error) {
	if gid, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("look up the group of the API socket: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

// listenTLS serves the API at a TCP address to clients with a certificate of the configured authority.
func listenTLS(address string, cfg *config.Config) (net.Listener, error) {
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("load the API's certificate: %w", err)
	}
	ca, err := os.ReadFile(cfg.TLSCACert)
	if err != nil {
		return nil, fmt.Errorf("load the authority of the API's clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("load the authority of the API's clients: no certificate in %s", cfg.TLSCACert)
	}
	l, err := tls.Listen("tcp", address, &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	return l, nil
}

// listen opens the instance's socket and the further hosts of the configuration.
func listen(path string, cfg *config.Config) (ls []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range ls {
				_ = l.Close()
			}
		}
	}()
	l, err := listenUnix(path, cfg.Group)
	if err != nil {
		return nil, err
	}
	ls = append(ls, l)
	for _, h := range cfg.Hosts {
		scheme, address, _ := strings.Cut(h, "://")
		switch {
		case scheme == "unix" && address == path:
			continue
		case scheme == "unix":
			l, err = listenUnix(address, cfg.Group)
		default:
			l, err = listenTLS(address, cfg)
		}
		if err != nil {
			return ls, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}
