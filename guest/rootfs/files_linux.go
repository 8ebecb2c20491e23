package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// WriteFiles gives injected files new contents in place: what containers have mounted is the file itself. A file that a
// mount hides is left alone.
func (r *Root) WriteFiles(files []*guestv1.File) error {
	for _, f := range files {
		if len(f.Content) > MaxFile {
			return fmt.Errorf("file %q of %d bytes: %w", f.Path, len(f.Content), errdefs.ErrInvalidArgument)
		}
		i := slices.IndexFunc(r.Mounts, func(s Staged) bool { return s.Destination == filepath.Clean(f.Path) })
		if i < 0 {
			return fmt.Errorf("no file was injected at %q: %w", f.Path, errdefs.ErrNotFound)
		}
		if !r.Mounts[i].Injected {
			continue
		}
		if err := rewrite(r.Mounts[i].Source, f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// rewrite cuts the file after it has the new bytes, so that who reads it meanwhile sees no empty one.
func rewrite(path string, f *guestv1.File) error {
	w, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = w.WriteAt(f.Content, 0)
	if err == nil {
		err = w.Truncate(int64(len(f.Content)))
	}
	if err == nil && f.Mode != 0 {
		err = w.Chmod(os.FileMode(f.Mode & 0o777))
	}
	return errors.Join(err, w.Close())
}
