package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/layerdisk"
)

const (
	// maxEntries bounds the entries of an archive of images.
	maxEntries = 100_000
	// maxJSON bounds its documents.
	maxJSON = 8 << 20
	// maxHops bounds its links.
	maxHops = 16
)

// spool holds the files of an archive as temporary files of the store: an entry's name is a key, never a path.
type spool struct {
	s       *Service
	entries map[string]*spooled
	links   map[string]string
	digests map[digest.Digest]*spooled
}

// spooled is one file of an archive.
type spooled struct {
	f      *os.File // nil once it is a blob of the store.
	digest digest.Digest
	size   int64
}

// readArchive reads a whole archive: plain, gzip or zstd.
func (s *Service) readArchive(ctx context.Context, r io.Reader) (sp *spool, err error) {
	plain, err := layerdisk.Decompress(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	sp = &spool{s: s, entries: map[string]*spooled{}, links: map[string]string{}, digests: map[digest.Digest]*spooled{}}
	if err := sp.fill(ctx, tar.NewReader(&bounded{r: plain, left: s.opt.Limits.Bytes})); err != nil {
		return nil, errors.Join(err, sp.close())
	}
	return sp, nil
}

func (sp *spool) fill(ctx context.Context, t *tar.Reader) error {
	buf := make([]byte, 1<<20)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return archiveError(err)
		}
		if n >= maxEntries {
			return errdefs.ErrResourceExhausted.WithMessage("archive has too many entries")
		}
		name := entryName(h.Name)
		switch h.Typeflag {
		case tar.TypeReg, '\x00':
			if err := sp.add(name, t, buf); err != nil {
				return err
			}
		case tar.TypeSymlink:
			sp.links[name] = entryName(path.Join(path.Dir(name), h.Linkname))
		case tar.TypeLink:
			sp.links[name] = entryName(h.Linkname)
		}
	}
}

func (sp *spool) add(name string, r io.Reader, buf []byte) error {
	e, err := sp.s.spoolFile(r, buf)
	if err != nil {
		return archiveError(err)
	}
	if old := sp.entries[name]; old != nil {
		if err := old.discard(); err != nil {
			return errors.Join(err, e.discard())
		}
	}
	sp.entries[name], sp.digests[e.digest] = e, e
	return nil
}

// spoolFile copies a stream to a temporary file of the store and digests it.
func (s *Service) spoolFile(r io.Reader, buf []byte) (*spooled, error) {
	f, err := s.content.Temp()
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, h)}, struct{ io.Reader }{r}, buf)
	if err != nil {
		return nil, errors.Join(err, content.Discard(f))
	}
	return &spooled{f: f, size: n, digest: digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(h.Sum(nil)))}, nil
}

func archiveError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("malformed archive: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("read archive: %w", err)
}

func entryName(name string) string { return path.Clean("/" + name)[1:] }

// get finds an entry, through links inside the archive.
func (sp *spool) get(name string) (*spooled, error) {
	name = entryName(name)
	for range maxHops {
		if e := sp.entries[name]; e != nil {
			return e, nil
		}
		next, ok := sp.links[name]
		if !ok {
			break
		}
		name = next
	}
	return nil, invalid("invalid archive: %q is missing", name)
}

// read returns a document of the archive; nil without an error when it is not there.
func (sp *spool) read(name string) ([]byte, error) {
	e := sp.entries[name]
	if e == nil {
		return nil, nil
	}
	return e.read(sp)
}

func (e *spooled) read(sp *spool) ([]byte, error) {
	if e.size > maxJSON {
		return nil, invalid("invalid archive: a document is larger than %d bytes", maxJSON)
	}
	if e.f == nil {
		return sp.s.content.ReadBlob(e.digest)
	}
	raw := make([]byte, e.size)
	if _, err := e.f.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return raw, nil
}

// head returns the first bytes of a file.
func (e *spooled) head(sp *spool) ([]byte, error) {
	f := e.f
	if f == nil {
		b, err := sp.s.content.OpenBlob(e.digest)
		if err != nil {
			return nil, err
		}
		defer func() { _ = b.Close() }() // Read only: nothing to lose.
		f = b
	}
	head := make([]byte, 8)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	return head[:n], nil
}

// commit makes the file a blob of the store.
func (e *spooled) commit(s *Service) error {
	if e.f == nil {
		return nil
	}
	f := e.f
	e.f = nil
	if _, err := s.content.Stat(e.digest); err == nil {
		return content.Discard(f)
	}
	return s.content.CommitBlob(f, e.digest)
}

func (e *spooled) discard() error {
	if e.f == nil {
		return nil
	}
	f := e.f
	e.f = nil
	return content.Discard(f)
}

// close removes what did not become a blob.
func (sp *spool) close() error {
	var errs []error
	for _, e := range sp.entries {
		errs = append(errs, e.discard())
	}
	return errors.Join(errs...)
}

// bounded fails when more than left bytes come.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errdefs.ErrResourceExhausted.WithMessage("archive is too large")
	}
	return n, err
}

// layerType is the media type of a layer by its first bytes.
func layerType(head []byte) string {
	switch {
	case strings.HasPrefix(string(head), "\x1f\x8b"):
		return "application/vnd.oci.image.layer.v1.tar+gzip"
	case strings.HasPrefix(string(head), "\x28\xb5\x2f\xfd"):
		return "application/vnd.oci.image.layer.v1.tar+zstd"
	}
	return "application/vnd.oci.image.layer.v1.tar"
}
