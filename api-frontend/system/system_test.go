package system

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/volume"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an engine with three containers, two images and one volume.
type fake struct{ broken error }

func (fake) CountContainers() (running, paused, stopped int) { return 1, 0, 2 }
func (f fake) CountImages(context.Context) (int, error)      { return 2, f.broken }
func (f fake) ImageUsage(context.Context) ([]image.Summary, int64, error) {
	return []image.Summary{{ID: "sha256:1"}}, 7, f.broken
}
func (f fake) ContainerUsage(context.Context) (any, error) {
	return json.RawMessage(`[{"Id":"1"}]`), f.broken
}
func (f fake) Usage(context.Context) ([]volume.Volume, error) { return nil, f.broken }
func (f fake) HelperInfo(context.Context) (HelperInfo, error) {
	return HelperInfo{Version: "1", Driver: "fake", HostNetwork: true}, f.broken
}

func service(f fake, c *config.Config) *Service {
	return New(Options{ID: "id", Home: "/home", Config: func() *config.Config { return c }, Containers: f, Images: f,
		ContainerUsage: f, VolumeUsage: f, Listeners: &event.Bus{}, Helper: f, Runc: Component{"1.4.0", "abc"}})
}

func TestInfo(t *testing.T) {
	c := config.Default()
	c.Mirrors, c.InsecureRegistries, c.Labels = []string{"http://m/"}, []string{"10.0.0.0/8", "reg:5000"}, []string{"a=b"}
	c.HTTPProxy = "http://u:p@proxy"
	info := service(fake{}, c).Info(t.Context())
	body, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	speccheck.Definition(t, "SystemInfo", body)
	if info.Containers != 3 || info.ContainersRunning != 1 || info.ContainersStopped != 2 || info.Images != 2 || info.NCPU != runtime.NumCPU() ||
		info.OSType != "linux" || info.MemTotal == 0 || info.KernelVersion == "" || info.OperatingSystem == "" || info.NFd <= 0 {
		t.Errorf("got %s", body)
	}
	if info.HTTPProxy != "http://xxxxx:xxxxx@proxy" {
		t.Errorf("credentials show: %s", info.HTTPProxy)
	}
	if len(info.RegistryConfig.InsecureRegistryCIDRs) != 3 || info.RegistryConfig.IndexConfigs["reg:5000"].Secure {
		t.Errorf("registries: %+v", info.RegistryConfig)
	}
	if !strings.Contains(strings.Join(info.Warnings, "\n"), "equivalent to root access") {
		t.Errorf("warnings: %q", info.Warnings)
	}
}

func TestInfoWithoutItsSources(t *testing.T) {
	info := service(fake{errors.New("down")}, config.Default()).Info(t.Context())
	warnings := strings.Join(info.Warnings, "\n")
	for _, want := range []string{"WARNING: images cannot be counted: down", "WARNING: vmhelper does not answer: down"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no %q in %q", want, warnings)
		}
	}
}

func TestVersion(t *testing.T) {
	v := service(fake{}, config.Default()).Version()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	speccheck.Definition(t, "SystemVersion", body)
	if v.APIVersion != "1.51" || v.MinAPIVersion != "1.24" || v.Os != "linux" || len(v.Components) != 2 || v.Components[1].Name != "runc" {
		t.Errorf("got %s", body)
	}
}

func TestDiskUsage(t *testing.T) {
	s := service(fake{}, config.Default())
	for _, tt := range []struct {
		o    UsageOptions
		want string
	}{
		{UsageOptions{true, true, true, true}, `{"LayersSize":7,"Images":1,"Containers":[{"Id":"1"}],"Volumes":[],"BuildCache":[]}`},
		{UsageOptions{Volumes: true}, `{"LayersSize":0,"Images":null,"Containers":null,"Volumes":[],"BuildCache":null}`},
	} {
		got, err := s.DiskUsage(t.Context(), tt.o)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var fields, want map[string]any
		if json.Unmarshal(text, &fields) != nil || json.Unmarshal([]byte(tt.want), &want) != nil {
			t.Fatal("not JSON")
		}
		if list, ok := fields["Images"].([]any); ok {
			fields["Images"] = float64(len(list))
		}
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := service(fake{errors.New("down")}, config.Default()).DiskUsage(t.Context(), UsageOptions{Volumes: true}); err == nil {
		t.Error("a failed measurement is no error")
	}
}

func TestLoadID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	first, err := LoadID(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := LoadID(path); err != nil || again != first {
		t.Errorf("%s, then %s, %v", first, again, err)
	}
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if next, err := LoadID(path); err != nil || next == first || len(next) != 36 {
		t.Errorf("%s, %v", next, err)
	}
}

// basicRegistry takes user and secret.
func basicRegistry(w http.ResponseWriter, r *http.Request) {
	if user, password, ok := r.BasicAuth(); !ok || user != "user" || password != "secret" {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// tokenRegistry takes a token that its token service gives to user and secret.
func tokenRegistry(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"details":"incorrect username or password"}`))
			return
		}
		_, _ = w.Write([]byte(`{"token":"t"}`))
		return
	}
	if r.Header.Get("Authorization") != "Bearer t" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func TestAuthenticate(t *testing.T) {
	s := service(fake{}, config.Default())
	for kind, handler := range map[string]http.HandlerFunc{"basic": basicRegistry, "token": tokenRegistry} {
		registryServer := httptest.NewServer(handler)
		defer registryServer.Close()
		for _, address := range []string{registryServer.URL, strings.TrimPrefix(registryServer.URL, "http://")} {
			good := registry.AuthConfig{Username: "user", Password: "secret", ServerAddress: address}
			if _, err := s.Authenticate(t.Context(), good); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			bad := good
			bad.Password = "wrong"
			_, err := s.Authenticate(t.Context(), bad)
			want := map[string]string{
				"basic": "login attempt to " + registryServer.URL + "/v2/ failed with status: 401 Unauthorized",
				"token": `Get "` + registryServer.URL + `/v2/": unauthorized: incorrect username or password`,
			}[kind]
			if !errdefs.IsUnauthorized(err) || err.Error() != want {
				t.Errorf("%s: got %v, want %s", kind, err, want)
			}
		}
	}
}

func TestAuthenticateElsewhere(t *testing.T) {
	s := service(fake{}, config.Default())
	if _, err := s.Authenticate(t.Context(), registry.AuthConfig{ServerAddress: "ftp://x"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("scheme: %v", err)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if _, err := s.Authenticate(t.Context(), registry.AuthConfig{ServerAddress: closed.URL}); !errdefs.IsUnavailable(err) {
		t.Errorf("closed: %v", err)
	}
	if host, err := registryHost("https://index.docker.io/v1/"); err != nil || host != hubHost {
		t.Errorf("hub: %s, %v", host, err)
	}
}

// A registry that is not insecure never gets credentials in clear text, however local its name looks.
func TestCredentialsNeedTLS(t *testing.T) {
	var requests int
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		basicRegistry(w, r)
	}))
	defer plain.Close()
	base := newTransport(false)
	defer base.CloseIdleConnections()
	err := login(t.Context(), strings.TrimPrefix(plain.URL, "http://"), false, base, registry.AuthConfig{Username: "user", Password: "secret"})
	if err == nil || requests != 0 {
		t.Errorf("%d requests in clear text, %v", requests, err)
	}
}
