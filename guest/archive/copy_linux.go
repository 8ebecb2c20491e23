package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/cyphar/filepath-securejoin"
	"github.com/moby/go-archive"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/rootfs"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// absolute cleans a path of a container, but keeps a trailing slash or slash-dot, which means something.
func absolute(path string) string {
	return archive.PreserveTrailingDotOrSeparator(filepath.Join("/", path), path)
}

// classify gives the errors of looking a path up their class.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	default:
		return err
	}
}

// Stat looks at a path of a container without following its last link.
func Stat(root *rootfs.Root, path string) (st *guestv1.StatPathResponse, err error) {
	err = Inside(root, func() error {
		st, err = stat(absolute(path))
		return err
	})
	return st, err
}

// stat runs in a view.
func stat(path string) (*guestv1.StatPathResponse, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, classify(err)
	}
	st := &guestv1.StatPathResponse{Name: filepath.Base(path), Size: fi.Size(), Mode: uint32(fi.Mode()), ModifiedUnixNano: fi.ModTime().UnixNano()}
	if fi.Mode()&fs.ModeSymlink != 0 {
		if st.LinkTarget, err = securejoin.SecureJoin("/", path); err != nil {
			return nil, classify(err)
		}
		st.LinkTarget = Text(st.LinkTarget)
	}
	return st, nil
}

// Get writes a tar of a path to w, named as docker cp wants it: by the last element of the path that was asked for.
func Get(root *rootfs.Root, path string, w io.Writer) error {
	path = absolute(path)
	return Inside(root, func() error {
		st, err := stat(path)
		if err != nil {
			return err
		}
		if fs.FileMode(st.Mode).IsRegular() {
			return getFile(path, w)
		}
		dir, base := path, "."
		if !fs.FileMode(st.Mode).IsDir() {
			dir, base = filepath.Split(path)
		}
		t, err := archive.NewTarballer(dir, archive.TarResourceRebaseOpts(base, filepath.Base(path)))
		if err != nil {
			return err
		}
		return send(t, w)
	})
}

// Export writes a tar of a root to w, without what is mounted into it.
func Export(root *rootfs.Root, w io.Writer) error {
	t, err := archive.NewTarballer(root.Path, &archive.TarOptions{})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return send(t, w)
}

func send(t *archive.Tarballer, w io.Writer) error {
	r := t.Reader()
	copied := make(chan error, 1)
	go func() { // Touches no file: it only moves bytes.
		_, err := io.CopyBuffer(onlyWriter{w}, r, make([]byte, 256<<10))
		copied <- errors.Join(err, r.Close()) // A closed reader ends the tarballer.
	}()
	t.Do()
	return <-copied
}

type onlyWriter struct{ io.Writer }

// Check tells whether an archive can be put at a path.
func Check(root *rootfs.Root, path string, readOnly bool) error {
	return Inside(root, func() error {
		_, err := destination(path, readOnly)
		return err
	})
}

// destination resolves the directory that an archive is put into. It runs in a view.
func destination(path string, readOnly bool) (string, error) {
	resolved, err := filepath.EvalSymlinks(filepath.Join("/", path))
	if err != nil {
		return "", classify(err)
	}
	resolved = archive.PreserveTrailingDotOrSeparator(resolved, path)
	var st, top unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, resolved, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE|unix.STATX_MNT_ID, &st); err != nil {
		return "", classify(&fs.PathError{Op: "lstat", Path: resolved, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return "", fmt.Errorf("extraction point is not a directory: %w", errdefs.ErrInvalidArgument)
	}
	if err := unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_MNT_ID, &top); err != nil {
		return "", err
	}
	var vfs unix.Statfs_t
	if err := unix.Statfs(resolved, &vfs); err != nil {
		return "", classify(err)
	}
	inRoot, ro := st.Mnt_id == top.Mnt_id, vfs.Flags&unix.ST_RDONLY != 0
	switch {
	case !inRoot && ro:
		return "", fmt.Errorf("mounted volume is marked read-only: %w", errdefs.ErrInvalidArgument)
	case inRoot && (ro || readOnly):
		return "", fmt.Errorf("container rootfs is marked read-only: %w", errdefs.ErrInvalidArgument)
	}
	return resolved, nil
}

// PutOptions says how Put unpacks.
type PutOptions struct {
	ReadOnly             bool // the container's root is read-only.
	NoOverwriteDirNonDir bool
	Owner                *archive.ChownOpts // of all that is unpacked; nil: as the archive says.
}

// Put unpacks a tar from r into the directory path of a container.
func Put(root *rootfs.Root, path string, r io.Reader, o PutOptions) error {
	opts, cleanup, err := archive.WithProcSelfFD(&archive.TarOptions{NoOverwriteDirNonDir: o.NoOverwriteDirNonDir, ChownOpts: o.Owner})
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer cleanup()
	in := readAhead(r)
	defer in.stop()
	return Inside(root, func() error {
		dir, err := destination(path, o.ReadOnly)
		if err != nil {
			return err
		}
		if err := archive.UntarUncompressed(in, dir, opts); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, in) // The padding after the archive's end.
		return err
	})
}
