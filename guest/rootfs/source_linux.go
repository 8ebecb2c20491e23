package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/blockdev"
)

// contents is where a writable disk has its files: its file system's own lost+found would keep databases from
// starting in a volume.
const contents = "data"

// use says what a disk is mounted for.
type use uint8

const (
	readOnly use = iota // a layer.
	writable            // a container's own disk, a volume.
)

// source is an attachment that is mounted once for all its users.
type source struct {
	mount string // the mount point; empty: there is nothing to unmount.
	path  string // of the files.
	refs  int
}

// openLocked makes an attachment reachable and returns where its files are. closeLocked undoes it.
//
// The forms of ref are those of vmhelper's drivers: "dir:/path" and "file:/path" are there already, "block:/dev/x" is a disk of a
// namespace sandbox, "serial:x" one of a virtual machine, "virtiofs:tag" a directory that the host shares.
func (b *Builder) openLocked(ref string, u use) (string, error) {
	if s := b.sources[ref]; s != nil {
		s.refs++
		return s.path, nil
	}
	how, name, _ := strings.Cut(ref, ":")
	if how == "dir" || how == "file" {
		return directory(ref)
	}
	s := &source{mount: filepath.Join(b.layers, fmt.Sprintf("%x", b.next)), refs: 1}
	s.path = s.mount
	b.next++
	if err := os.Mkdir(s.mount, 0o700); err != nil {
		return "", err
	}
	if err := s.attach(how, name, u); err != nil {
		return "", errors.Join(fmt.Errorf("mount %s: %w", ref, err), unmount(s.mount), os.Remove(s.mount))
	}
	b.sources[ref] = s
	return s.path, nil
}

func (s *source) attach(how, name string, u use) error {
	switch {
	case how == "virtiofs":
		return unix.Mount(name, s.mount, "virtiofs", unix.MS_NODEV, "")
	case how == "serial":
		dev, err := blockdev.Find(context.Background(), name) // It bounds its wait itself.
		if err != nil {
			return err
		}
		name = dev
	case how != "block":
		return fmt.Errorf("there is no way %q to attach: %w", how, errdefs.ErrInvalidArgument)
	}
	if u == readOnly {
		return unix.Mount(name, s.mount, "ext4", unix.MS_RDONLY|unix.MS_NODEV, "")
	}
	if err := unix.Mount(name, s.mount, "ext4", unix.MS_NOATIME, "discard"); err != nil {
		return err
	}
	s.path = filepath.Join(s.mount, contents)
	if err := os.Mkdir(s.path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// closeLocked ends one use of an attachment.
func (b *Builder) closeLocked(ref string) error {
	s := b.sources[ref]
	if s == nil {
		return nil
	}
	if s.refs--; s.refs > 0 {
		return nil
	}
	delete(b.sources, ref)
	if err := unix.Unmount(s.mount, unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", ref, err)
	}
	return os.Remove(s.mount)
}

// directory is the path of an attachment that is there already.
func directory(ref string) (string, error) {
	how, path, _ := strings.Cut(ref, ":")
	if (how != "dir" && how != "file") || !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return "", fmt.Errorf("attachment %q: %w", ref, errdefs.ErrInvalidArgument)
	}
	return path, nil
}
