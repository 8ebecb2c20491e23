package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
)

type dialLimit struct{}

// newTransport makes the connections of a client: short dials, many per host, big buffers.
func newTransport(insecure bool) *http.Transport {
	d := &net.Dialer{KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			limit := dialTimeout
			if l, ok := ctx.Value(dialLimit{}).(time.Duration); ok {
				limit = l
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return d.DialContext(ctx, network, addr)
		},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       20 * time.Second,
		TLSHandshakeTimeout:   4 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ReadBufferSize:        256 << 10,
		DisableCompression:    true, // Blobs come as they are.
	}
	if insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // The owner listed the host as insecure.
	}
	return t
}

// guard refuses clear text to the registry's host unless it is allowed, and names the agent.
type guard struct {
	inner http.RoundTripper
	ep    endpoint
	agent string
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && req.URL.Host == g.ep.host && !g.ep.insecure {
		return nil, errdefs.ErrUnavailable.WithMessage(fmt.Sprintf("registry %s does not speak HTTPS and is not listed in insecure-registries", g.ep.host))
	}
	req = req.Clone(req.Context())
	if g.agent != "" {
		req.Header.Set("User-Agent", g.agent)
	}
	return g.inner.RoundTrip(req)
}
