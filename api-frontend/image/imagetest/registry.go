package imagetest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registry is a registry on 127.0.0.1 that ends with its test.
type Registry struct {
	tb     testing.TB
	server *httptest.Server

	mu struct {
		sync.Mutex
		faults   []Fault
		requests []string
	}
}

// Fault may answer a request itself (true), or let the registry do it, through w or through a writer of its own.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool

// NewRegistry starts a registry.
func NewRegistry(tb testing.TB) *Registry {
	tb.Helper()
	r := &Registry{tb: tb}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.mu.requests = append(r.mu.requests, req.Method+" "+req.URL.Path)
		faults := append([]Fault(nil), r.mu.faults...)
		r.mu.Unlock()
		for _, f := range faults {
			if f(w, req, inner) {
				return
			}
		}
		inner.ServeHTTP(w, req)
	}))
	tb.Cleanup(r.server.Close)
	return r
}

// Host is "127.0.0.1:port".
func (r *Registry) Host() string { return strings.TrimPrefix(r.server.URL, "http://") }

// URL is the base URL, as a mirror is configured.
func (r *Registry) URL() string { return r.server.URL }

// Inject adds a fault.
func (r *Registry) Inject(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.faults = append(r.mu.faults, f)
}

// Heal removes all faults.
func (r *Registry) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.faults = nil
}

// Requests counts the requests whose "METHOD path" contains part.
func (r *Registry) Requests(part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, q := range r.mu.requests {
		if strings.Contains(q, part) {
			n++
		}
	}
	return n
}

// Push stores an image under a name of this registry ("repo:tag") and returns the whole name.
func (r *Registry) Push(what string, img v1.Image) string {
	r.tb.Helper()
	ref := r.parse(what)
	must(r.tb, remote.Write(ref, img))
	return r.Host() + "/" + what
}

// PushIndex stores an index.
func (r *Registry) PushIndex(what string, idx v1.ImageIndex) string {
	r.tb.Helper()
	must(r.tb, remote.WriteIndex(r.parse(what), idx))
	return r.Host() + "/" + what
}

// PushRaw stores a manifest of exactly these bytes.
func (r *Registry) PushRaw(what, contentType string, body string) string {
	r.tb.Helper()
	repo, tag, _ := strings.Cut(what, ":")
	req, err := http.NewRequest(http.MethodPut, r.URL()+"/v2/"+repo+"/manifests/"+tag, strings.NewReader(body)) //nolint:noctx // The server is local.
	must(r.tb, err)
	req.Header.Set("Content-Type", contentType)
	resp, err := r.server.Client().Do(req)
	must(r.tb, err)
	must(r.tb, resp.Body.Close())
	if resp.StatusCode != http.StatusCreated {
		r.tb.Fatalf("push %s: %s", what, resp.Status)
	}
	return r.Host() + "/" + what
}

func (r *Registry) parse(what string) name.Reference {
	r.tb.Helper()
	ref, err := name.ParseReference(r.Host() + "/" + what)
	must(r.tb, err)
	return ref
}
