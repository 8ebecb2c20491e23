package image

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// leases count who is making or reading content that no record names yet, or whose record may go: blobs by digest, disks
// by diffID. Leased content is never removed.
type leases struct {
	mu sync.Mutex
	n  map[digest.Digest]int
}

// hold takes a lease; the function that it returns ends it.
func (l *leases) hold(ds ...digest.Digest) (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		l.n[d]++
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, d := range ds {
			if l.n[d]--; l.n[d] == 0 {
				delete(l.n, d)
			}
		}
	}
}

// unless runs f for a digest that nobody holds; nobody can begin to hold it meanwhile.
func (l *leases) unless(d digest.Digest, f func(digest.Digest) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n[d] > 0 {
		return nil
	}
	return f(d)
}

// blobs are the digests of all that the manifest brings.
func (p *parsed) blobs() []digest.Digest {
	ds := []digest.Digest{p.desc.Digest, p.manifest.Config.Digest}
	for _, l := range p.manifest.Layers {
		ds = append(ds, l.Digest)
	}
	return ds
}

func (l *leases) held(d digest.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n[d] > 0
}
