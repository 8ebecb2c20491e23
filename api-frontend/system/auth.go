package system

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/arca-engine/arca/internal/version"
	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moby/moby/api/types/registry"
)

const (
	hubHost = "registry-1.docker.io"
	// reachTimeout keeps an unreachable registry from holding a login.
	reachTimeout = 4 * time.Second
	loginTimeout = 15 * time.Second
)

// hubNames are the ways in which clients call Docker Hub.
var hubNames = []string{"", "docker.io", "index.docker.io", "registry-1.docker.io"}

// Authenticate asks a registry whether it takes the credentials. Its answer to a wrong password is ErrUnauthenticated.
func (s *Service) Authenticate(ctx context.Context, auth registry.AuthConfig) (token string, err error) {
	host, err := registryHost(auth.ServerAddress)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	insecure := isInsecure(ctx, host, s.o.Config().InsecureRegistries)
	base := newTransport(insecure)
	defer base.CloseIdleConnections()
	if err := login(ctx, host, insecure, base, auth); err != nil {
		return "", err
	}
	return auth.IdentityToken, nil
}

// registryHost takes the host out of a server's address, which may be a URL.
func registryHost(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "", errdefs.ErrInvalidArgument.WithMessage("invalid server address: unable to parse: " + err.Error())
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(
			`invalid server address %q: unsupported URL scheme %q: must be "http" or "https"`, address, u.Scheme))
	case slices.Contains(hubNames, u.Host):
		return hubHost, nil
	}
	return u.Host, nil
}

// isInsecure follows dockerd: loopback and what is listed, by name or by address, may do without TLS.
func isInsecure(ctx context.Context, host string, listed []string) bool {
	bare := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		bare = h
	}
	prefixes := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, l := range listed {
		if prefix, err := netip.ParsePrefix(l); err == nil {
			prefixes = append(prefixes, prefix)
		} else if l == host || l == bare {
			return true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.Trim(bare, "[]"))
	if err != nil {
		// The login itself says that the name is unknown.
		return false
	}
	return slices.ContainsFunc(addresses, func(a netip.Addr) bool {
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	})
}

func newTransport(insecure bool) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: reachTimeout}).DialContext,
		TLSHandshakeTimeout:   reachTimeout,
		ResponseHeaderTimeout: loginTimeout,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: insecure}, //nolint:gosec // As the user configured it.
	}
}

// onlyTLS refuses requests in clear text: a name that looks local does not make a registry insecure.
type onlyTLS struct{ inner http.RoundTripper }

func (t onlyTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not an insecure registry: %s refused", r.URL.Host, r.URL.Scheme)
	}
	return t.inner.RoundTrip(r)
}

// login does what a client of the registry would: it asks for a challenge, follows it, and tries the result.
func login(ctx context.Context, host string, insecure bool, base http.RoundTripper, auth registry.AuthConfig) error {
	options := []name.Option{name.WeakValidation}
	if insecure {
		options = append(options, name.Insecure)
	} else {
		base = onlyTLS{base}
	}
	reg, err := name.NewRegistry(host, options...)
	if err != nil {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid server address %q: %v", host, err))
	}
	credentials := authn.FromConfig(authn.AuthConfig{Username: auth.Username, Password: auth.Password, Auth: auth.Auth,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken})
	base = transport.NewUserAgent(base, "arca/"+version.Get().Version)
	authorized, err := transport.NewWithContext(ctx, reg, credentials, base, nil)
	endpoint := reg.Scheme() + "://" + host + "/v2/"
	if err != nil {
		return loginError(endpoint, host, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return fmt.Errorf("login to %s: %w", host, err)
	}
	// Credentials are for this host: what it redirects to does not get them.
	client := &http.Client{Transport: authorized, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return loginError(endpoint, host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text := fmt.Sprintf("login attempt to %s failed with status: %d %s", endpoint, resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode == http.StatusUnauthorized {
		return errdefs.ErrUnauthenticated.WithMessage(text)
	}
	return errdefs.ErrInternal.WithMessage(text)
}

// loginError puts a failed exchange into words: the registry's refusal, or that it cannot be reached.
func loginError(endpoint, host string, err error) error {
	var refusal *transport.Error
	if errors.As(err, &refusal) {
		text := "incorrect username or password"
		if len(refusal.Errors) > 0 && refusal.Errors[0].Message != "" {
			text = refusal.Errors[0].Message
		}
		if refusal.StatusCode == http.StatusUnauthorized || refusal.StatusCode == http.StatusForbidden {
			return errdefs.ErrUnauthenticated.WithMessage(fmt.Sprintf("Get %q: unauthorized: %s", endpoint, text))
		}
		return errdefs.ErrInternal.WithMessage(fmt.Sprintf("login attempt to %s failed with status: %d %s",
			endpoint, refusal.StatusCode, http.StatusText(refusal.StatusCode)))
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return errdefs.ErrUnavailable.WithMessage(fmt.Sprintf("registry %s is unreachable: %v", host, err))
}
