package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/moby/api/types/registry"
)

// maxAuth bounds the header's value.
const maxAuth = 64 << 10

// DecodeAuth reads an X-Registry-Auth header: base64url of JSON, as Docker reads it. An empty value is no credentials.
func DecodeAuth(header string) (registry.AuthConfig, error) {
	var cfg registry.AuthConfig
	if header == "" {
		return cfg, nil
	}
	if len(header) > maxAuth {
		return cfg, badAuth(errors.New("too long"))
	}
	enc := base64.URLEncoding
	if strings.ContainsAny(header, "+/") {
		enc = base64.StdEncoding
	}
	if len(header)%4 != 0 && !strings.HasSuffix(header, "=") {
		enc = enc.WithPadding(base64.NoPadding)
	}
	dec := json.NewDecoder(base64.NewDecoder(enc, strings.NewReader(header)))
	if err := dec.Decode(&cfg); err != nil {
		if errors.Is(err, io.EOF) {
			return registry.AuthConfig{}, nil
		}
		return registry.AuthConfig{}, badAuth(err)
	}
	if dec.More() {
		return registry.AuthConfig{}, badAuth(errors.New("must be base64-encoded JSON of one object"))
	}
	return cfg, nil
}

func badAuth(err error) error {
	return fmt.Errorf("invalid X-Registry-Auth header: %w: %w", err, errdefs.ErrInvalidArgument)
}

// authenticator gives the credentials to the transport of one registry.
func authenticator(cfg registry.AuthConfig) authn.Authenticator {
	if cfg.Username == "" && cfg.Password == "" && cfg.Auth == "" && cfg.IdentityToken == "" && cfg.RegistryToken == "" {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: cfg.Username, Password: cfg.Password, Auth: cfg.Auth,
		IdentityToken: cfg.IdentityToken, RegistryToken: cfg.RegistryToken,
	})
}
