package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
)

const (
	// HubDomain is the registry of names without one, as references spell it.
	HubDomain = "docker.io"
	hubHost   = "registry-1.docker.io"

	dialTimeout   = 3 * time.Second
	mirrorTimeout = 1500 * time.Millisecond
)

// Config says how registries are reached.
type Config struct {
	// Mirrors are base URLs asked before the hub for docker.io names.
	Mirrors []string
	// Insecure are hosts ("host", "host:port") and CIDRs that may speak HTTP or show unknown certificates. 127.0.0.0/8 and
	// ::1 always may.
	Insecure []string
	// UserAgent is sent with each request.
	UserAgent string
}

// Client reaches registries. It is safe for concurrent use.
type Client struct {
	mirrors  []endpoint
	hosts    map[string]struct{}
	nets     []netip.Prefix
	secure   *http.Transport
	insecure *http.Transport
	agent    string
}

type endpoint struct {
	host     string
	plain    bool // HTTP was asked for by URL.
	insecure bool
	mirror   bool
}

// New checks a configuration.
func New(cfg Config) (*Client, error) {
	c := &Client{hosts: make(map[string]struct{}), agent: cfg.UserAgent}
	for _, s := range append([]string{"127.0.0.0/8", "::1/128"}, cfg.Insecure...) {
		s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(s, "http://"), "https://"), "/")
		if p, err := netip.ParsePrefix(s); err == nil {
			c.nets = append(c.nets, p)
			continue
		}
		if s == "" || strings.Contains(s, "/") {
			return nil, fmt.Errorf("insecure registry %s is not valid: %w", s, errdefs.ErrInvalidArgument)
		}
		c.hosts[s] = struct{}{}
	}
	for _, m := range cfg.Mirrors {
		u, err := url.Parse(m)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.User != nil {
			return nil, fmt.Errorf("invalid mirror: %q is not a URL of the form https://host: %w", m, errdefs.ErrInvalidArgument)
		}
		plain := u.Scheme == "http"
		c.mirrors = append(c.mirrors, endpoint{host: u.Host, plain: plain, insecure: plain || c.isInsecure(u.Host), mirror: true})
	}
	c.secure, c.insecure = newTransport(false), newTransport(true)
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() {
	c.secure.CloseIdleConnections()
	c.insecure.CloseIdleConnections()
}

// endpoints lists where a repository is looked for, in order.
func (c *Client) endpoints(named reference.Named) []endpoint {
	domain := reference.Domain(named)
	if domain == HubDomain {
		return append(c.mirrors[:len(c.mirrors):len(c.mirrors)], endpoint{host: hubHost})
	}
	return []endpoint{{host: domain, insecure: c.isInsecure(domain)}}
}

// isInsecure follows Docker: a host is insecure when it, or an address that it resolves to, is listed.
func (c *Client) isInsecure(hostport string) bool {
	if _, ok := c.hosts[hostport]; ok {
		return true
	}
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
		if _, ok := c.hosts[host]; ok {
			return true
		}
	}
	return c.addressInsecure(strings.Trim(host, "[]"))
}

func (c *Client) addressInsecure(host string) bool {
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), mirrorTimeout)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return false // An unknown host is told by the dial that follows.
		}
		addrs = found
	}
	for _, a := range addrs {
		for _, p := range c.nets {
			if p.Contains(a.Unmap()) {
				return true
			}
		}
	}
	return false
}
