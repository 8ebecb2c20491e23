package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/internal/atomicfile"
	"github.com/arca-engine/arca/internal/failpoint"
)

// Store is a folder of content.
type Store struct{ dir string }

// Open makes or opens the store in dir and removes what a crash left in temp/.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	if err := os.RemoveAll(s.temp()); err != nil {
		return nil, fmt.Errorf("sweep temporary files: %w", err)
	}
	for _, d := range []string{s.blobs(), s.disks(), s.partials(), s.temp()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make image store: %w", err)
		}
	}
	return s, nil
}

func (s *Store) blobs() string    { return filepath.Join(s.dir, "blobs", "sha256") }
func (s *Store) disks() string    { return filepath.Join(s.dir, "disks") }
func (s *Store) partials() string { return filepath.Join(s.dir, "partial") }
func (s *Store) temp() string     { return filepath.Join(s.dir, "temp") }

// BlobPath is where the blob is, or would be.
func (s *Store) BlobPath(d digest.Digest) string { return filepath.Join(s.blobs(), d.Encoded()) }

// DiskPath is where the disk of the layer with this diffID is, or would be.
func (s *Store) DiskPath(diffID digest.Digest) string {
	return filepath.Join(s.disks(), diffID.Encoded()+".ext4")
}

// Check refuses a digest that this store does not keep: only sha256, well-formed, so that it is safe as a file's name.
func Check(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w: %w", d, err, errdefs.ErrInvalidArgument)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q: only sha256 is supported: %w", d, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Stat returns a blob's length, or errdefs.ErrNotFound.
func (s *Store) Stat(d digest.Digest) (int64, error) {
	if err := Check(d); err != nil {
		return 0, err
	}
	fi, err := os.Stat(s.BlobPath(d))
	if err != nil {
		return 0, s.notFound("blob", d, err)
	}
	return fi.Size(), nil
}

// OpenBlob opens a blob for reading.
func (s *Store) OpenBlob(d digest.Digest) (*os.File, error) {
	if err := Check(d); err != nil {
		return nil, err
	}
	f, err := os.Open(s.BlobPath(d))
	if err != nil {
		return nil, s.notFound("blob", d, err)
	}
	return f, nil
}

// ReadBlob reads a small blob and verifies it again.
func (s *Store) ReadBlob(d digest.Digest) ([]byte, error) {
	if err := Check(d); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(s.BlobPath(d))
	if err != nil {
		return nil, s.notFound("blob", d, err)
	}
	if digest.FromBytes(b) != d {
		return nil, fmt.Errorf("blob %s is damaged: %w", d, errdefs.ErrDataLoss)
	}
	return b, nil
}

// PutBlob stores a small blob under its own digest.
func (s *Store) PutBlob(b []byte) (digest.Digest, error) {
	d := digest.FromBytes(b)
	if _, err := s.Stat(d); err == nil {
		return d, nil
	}
	f, err := s.Temp()
	if err != nil {
		return "", err
	}
	if _, err := f.Write(b); err != nil {
		return "", errors.Join(fmt.Errorf("write blob: %w", err), Discard(f))
	}
	return d, s.CommitBlob(f, d)
}

// Temp makes a temporary file; CommitBlob, CommitDisk or Discard ends it.
func (s *Store) Temp() (*os.File, error) {
	f, err := os.CreateTemp(s.temp(), "")
	if err != nil {
		return nil, fmt.Errorf("make temporary file: %w", err)
	}
	return f, nil
}

// Discard closes and removes a temporary file.
func Discard(f *os.File) error {
	return errors.Join(f.Close(), ignoreNotExist(os.Remove(f.Name())))
}

// CommitBlob makes a file whose digest the caller verified the blob d.
func (s *Store) CommitBlob(f *os.File, d digest.Digest) error { return commit(f, s.BlobPath(d)) }

// CommitDisk makes a finished file the disk of a layer.
func (s *Store) CommitDisk(f *os.File, diffID digest.Digest) error {
	return commit(f, s.DiskPath(diffID))
}

func commit(f *os.File, path string) error {
	err := failpoint.Hit("image/rename")
	if err == nil {
		err = atomicfile.Commit(f, path)
	}
	if err != nil {
		return errors.Join(err, ignoreNotExist(os.Remove(f.Name())))
	}
	return nil
}

// HasDisk says whether a layer's disk is there.
func (s *Store) HasDisk(diffID digest.Digest) bool {
	_, err := os.Stat(s.DiskPath(diffID))
	return err == nil
}

// RemoveBlob removes a blob; an absent one is no error.
func (s *Store) RemoveBlob(d digest.Digest) error {
	return ignoreNotExist(os.Remove(s.BlobPath(d)))
}

// RemoveDisk removes a disk; an absent one is no error.
func (s *Store) RemoveDisk(diffID digest.Digest) error {
	return ignoreNotExist(os.Remove(s.DiskPath(diffID)))
}

// Blobs lists the digests of all blobs.
func (s *Store) Blobs() ([]digest.Digest, error) { return names(s.blobs(), "") }

// Disks lists the diffIDs of all disks.
func (s *Store) Disks() ([]digest.Digest, error) { return names(s.disks(), ".ext4") }

func names(dir, suffix string) ([]digest.Digest, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list content: %w", err)
	}
	out := make([]digest.Digest, 0, len(entries))
	for _, e := range entries {
		d := digest.NewDigestFromEncoded(digest.SHA256, strings.TrimSuffix(e.Name(), suffix))
		if d.Validate() == nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// SweepPartials removes partial blobs that nobody touched since before.
func (s *Store) SweepPartials(before time.Time) error {
	entries, err := os.ReadDir(s.partials())
	if err != nil {
		return fmt.Errorf("list partial blobs: %w", err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || fi.ModTime().After(before) {
			continue // Gone meanwhile, or young.
		}
		if err := ignoreNotExist(os.Remove(filepath.Join(s.partials(), e.Name()))); err != nil {
			return fmt.Errorf("sweep partial blob: %w", err)
		}
	}
	return nil
}

func (s *Store) notFound(what string, d digest.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s %s: %w", what, d, errdefs.ErrNotFound)
	}
	return fmt.Errorf("%s %s: %w", what, d, err)
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
