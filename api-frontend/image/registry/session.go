package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moby/moby/api/types/registry"
)

// Session is an authenticated view of one repository at one endpoint.
type Session struct {
	named reference.Named
	ep    endpoint
	base  string // https://host/v2/path
	http  *http.Client
	repo  name.Repository
	rt    http.RoundTripper
}

// Each opens a session at each endpoint of a repository in turn until f succeeds. An endpoint that is not the last may
// fail for any reason that concerns it alone; the last one's error is the answer, unless final says that another is.
func (c *Client) Each(ctx context.Context, named reference.Named, auth registry.AuthConfig, scope string, f func(*Session) error) error {
	eps := c.endpoints(named)
	for i, ep := range eps {
		s, err := c.open(ctx, named, ep, auth, scope)
		if err == nil {
			err = f(s)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if i == len(eps)-1 {
			return err
		}
	}
	return nil
}

// Scopes of a session.
const (
	ScopePull = transport.PullScope
	ScopePush = transport.PushScope
)

func (c *Client) open(ctx context.Context, named reference.Named, ep endpoint, auth registry.AuthConfig, scope string) (*Session, error) {
	var opts []name.Option
	if ep.insecure {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(ep.host, opts...)
	if err != nil {
		return nil, translate(named, ep, err)
	}
	repo := reg.Repo(reference.Path(named))
	inner := http.RoundTripper(c.secure)
	if ep.insecure {
		inner = c.insecure
	}
	cred := authenticator(auth)
	if ep.mirror {
		ctx = context.WithValue(ctx, dialLimit{}, mirrorTimeout)
		cred = authn.Anonymous // The credentials are the hub's.
	}
	rt, err := transport.NewWithContext(ctx, reg, cred, &guard{inner, ep, c.agent}, []string{repo.Scope(scope)})
	if err != nil {
		return nil, translate(named, ep, err)
	}
	return &Session{
		named: named, ep: ep, repo: repo, rt: rt,
		base: fmt.Sprintf("%s://%s/v2/%s", reg.Scheme(), ep.host, reference.Path(named)),
		http: &http.Client{Transport: rt, CheckRedirect: limitRedirects},
	}, nil
}

func limitRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("stopped after %d redirects", len(via))
	}
	return nil
}
