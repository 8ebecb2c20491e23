package content

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Partial is a blob that is being downloaded. One writer appends; any number of readers follow it from its beginning.
// The caller makes sure that a digest has one Partial at a time.
type Partial struct {
	store *Store
	want  digest.Digest
	size  int64
	f     *os.File
	h     hash.Hash

	mu struct {
		sync.Mutex
		n    int64
		anew int   // How often Restart threw bytes away.
		err  error // Set when no more bytes will come; io.EOF when the blob is whole.
		wake chan struct{}
	}
}

// Partial opens or continues the download of a blob of a known size.
func (s *Store) Partial(d digest.Digest, size int64) (*Partial, error) {
	if err := Check(d); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.partials(), d.Encoded()), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open partial blob: %w", err)
	}
	p := &Partial{store: s, want: d, size: size, f: f, h: sha256.New()}
	p.mu.wake = make(chan struct{})
	n, err := io.CopyBuffer(struct{ io.Writer }{p.h}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read partial blob: %w", err), f.Close())
	}
	p.mu.n = n
	if n > size {
		if err := p.Restart(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		p.mu.anew = 0 // Nobody reads yet.
	}
	return p, nil
}

// Len is how many bytes are there.
func (p *Partial) Len() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.n
}

// Size is how many bytes the blob has.
func (p *Partial) Size() int64 { return p.size }

// Write appends.
func (p *Partial) Write(b []byte) (int, error) {
	at := p.Len()
	if at+int64(len(b)) > p.size {
		return 0, fmt.Errorf("blob %s is longer than %d bytes: %w", p.want, p.size, errdefs.ErrInvalidArgument)
	}
	n, err := p.f.WriteAt(b, at)
	p.h.Write(b[:n])
	p.mu.Lock()
	p.mu.n += int64(n)
	p.wakeLocked()
	p.mu.Unlock()
	if err != nil {
		return n, fmt.Errorf("write blob: %w", err)
	}
	return n, nil
}

func (p *Partial) wakeLocked() {
	close(p.mu.wake)
	p.mu.wake = make(chan struct{})
}

// Restart forgets what is there. Readers that are under way go on where they were once the bytes are there again; what
// they read before is not what Verify believes in: see Restarted.
func (p *Partial) Restart() error {
	if err := p.f.Truncate(0); err != nil {
		return fmt.Errorf("empty partial blob: %w", err)
	}
	p.h.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.n > 0 {
		p.mu.anew++
	}
	p.mu.n = 0
	return nil
}

// Restarted says whether bytes that a reader may have seen were thrown away: such a reader must read again.
func (p *Partial) Restarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.anew > 0
}

// Verify checks length and digest of the whole blob and tells the readers that it is whole. A blob that is wrong is
// emptied, so that nothing continues it.
func (p *Partial) Verify() error {
	if n := p.Len(); n != p.size {
		return fmt.Errorf("blob %s has %d of %d bytes: %w", p.want, n, p.size, io.ErrUnexpectedEOF)
	}
	if got := digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(p.h.Sum(nil))); got != p.want {
		return errors.Join(fmt.Errorf("filesystem layer verification failed for digest %s: %w", p.want, errdefs.ErrDataLoss), p.Restart())
	}
	p.finish(io.EOF)
	return nil
}

// Fail tells the readers that no more will come.
func (p *Partial) Fail(err error) { p.finish(err) }

func (p *Partial) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.err == nil {
		p.mu.err = err
		p.wakeLocked()
	}
}

// Commit makes the verified blob durable and final. The Partial is closed.
func (p *Partial) Commit() error { return commit(p.f, p.store.BlobPath(p.want)) }

// Close keeps the bytes for a later download.
func (p *Partial) Close() error {
	p.finish(os.ErrClosed)
	return p.f.Close()
}

// Reader follows the blob from its beginning: it waits for bytes that are still to come. It ends with io.EOF only after
// Verify, so whoever read it all without a Restart read what the digest says.
// Close ends a Read that waits.
func (p *Partial) Reader() io.ReadCloser { return &follower{p: p, quit: make(chan struct{})} }

type follower struct {
	p    *Partial
	at   int64
	once sync.Once
	quit chan struct{}
}

func (r *follower) Close() error {
	r.once.Do(func() { close(r.quit) })
	return nil
}

func (r *follower) Read(b []byte) (int, error) {
	for {
		r.p.mu.Lock()
		n, err, wake := r.p.mu.n, r.p.mu.err, r.p.mu.wake
		r.p.mu.Unlock()
		if r.at < n {
			m, err := r.p.f.ReadAt(b[:min(int64(len(b)), n-r.at)], r.at)
			r.at += int64(m)
			if m > 0 {
				return m, nil
			}
			return 0, err
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-wake:
		case <-r.quit:
			return 0, os.ErrClosed
		}
	}
}
