package registry_test

import (
	"encoding/base64"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/image/registry"
)

func TestDecodeAuth(t *testing.T) {
	doc := `{"username":"u>?","password":"p~~~","identitytoken":"t","registrytoken":"r"}`
	for name, text := range map[string]string{
		"url": base64.URLEncoding.EncodeToString([]byte(doc)), "raw url": base64.RawURLEncoding.EncodeToString([]byte(doc)),
		"standard": base64.StdEncoding.EncodeToString([]byte(doc)),
	} {
		got, err := registry.DecodeAuth(text)
		if err != nil || got.Username != "u>?" || got.Password != "p~~~" || got.IdentityToken != "t" || got.RegistryToken != "r" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"%", "e30", "bm90IGpzb24=", base64.URLEncoding.EncodeToString([]byte("[1]"))} {
		got, err := registry.DecodeAuth(bad)
		if bad != "e30" && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func FuzzDecodeAuth(f *testing.F) {
	f.Add("e30=")
	f.Add("eyJ1c2VybmFtZSI6InUifQ==")
	f.Fuzz(func(_ *testing.T, s string) {
		_, _ = registry.DecodeAuth(s) // Any answer is right; a crash is not.
	})
}

func FuzzCheckManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), "application/vnd.oci.image.index.v1+json")
	f.Fuzz(func(_ *testing.T, b []byte, media string) {
		_, _ = registry.CheckManifest(b, media) // Any answer is right; a crash is not.
	})
}

func TestConfig(t *testing.T) {
	for _, c := range []registry.Config{
		{Mirrors: []string{"ftp://x"}}, {Mirrors: []string{"mirror"}}, {Mirrors: []string{"https://u:p@x"}}, {Mirrors: []string{"https://x/path"}},
		{Insecure: []string{"http://x/y"}},
	} {
		if _, err := registry.New(c); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := registry.New(registry.Config{Mirrors: []string{"http://127.0.0.1:5000/"}, Insecure: []string{"10.0.0.0/8", "reg.example:5000"}}); err != nil {
		t.Error(err)
	}
}
