package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/moby/go-archive"
	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/rootfs"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// changes walks an upper directory beside its lowers. Both are on disks that only the agent names; nothing follows a
// link.
type changes struct {
	upper string
	below []string // the lowers, top first.
	out   map[string]guestv1.ChangesResponse_Change_Kind
}

// Changes compares a container's root with its image.
func Changes(root *rootfs.Root) ([]*guestv1.ChangesResponse_Change, error) {
	all, err := compare(root)
	if err != nil {
		return nil, err
	}
	list := make([]*guestv1.ChangesResponse_Change, 0, len(all))
	for path, kind := range all {
		list = append(list, &guestv1.ChangesResponse_Change{Path: Text(path), Kind: kind})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

// Layer writes what differs from the image as a layer: a tar whose deletions are whiteouts.
func Layer(root *rootfs.Root, w io.Writer) error {
	all, err := compare(root)
	if err != nil {
		return err
	}
	kinds := map[guestv1.ChangesResponse_Change_Kind]archive.ChangeType{
		guestv1.ChangesResponse_Change_ADDED: archive.ChangeAdd, guestv1.ChangesResponse_Change_MODIFIED: archive.ChangeModify,
		guestv1.ChangesResponse_Change_DELETED: archive.ChangeDelete,
	}
	list := make([]archive.Change, 0, len(all))
	for path, kind := range all {
		list = append(list, archive.Change{Path: path, Kind: kinds[kind]})
	}
	tar, err := archive.ExportChanges(root.Path, list, user.IdentityMapping{})
	if err != nil {
		return fmt.Errorf("export changes: %w", err)
	}
	_, err = io.CopyBuffer(onlyWriter{w}, tar, make([]byte, 256<<10))
	return errors.Join(err, tar.Close())
}

// compare tells how the paths of a container's root differ from its image.
func compare(root *rootfs.Root) (map[string]guestv1.ChangesResponse_Change_Kind, error) {
	c := &changes{upper: root.Upper, below: root.Below, out: map[string]guestv1.ChangesResponse_Change_Kind{}}
	err := filepath.WalkDir(c.upper, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // It went while we looked.
		}
		if err != nil || path == c.upper {
			return err
		}
		return c.look(strings.TrimPrefix(path, c.upper), path)
	})
	return c.out, err
}

// Text makes a name fit for a message, as encoding/json would: a byte that is no UTF-8 becomes U+FFFD.
func Text(name string) string { return string([]rune(name)) }

func (c *changes) look(name, path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		if err == unix.ENOENT {
			return nil
		}
		return &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	old, existed := c.stat(name)
	switch {
	case whiteout(&st):
		if existed {
			c.add(name, guestv1.ChangesResponse_Change_DELETED)
		}
		return nil
	case !existed:
		c.add(name, guestv1.ChangesResponse_Change_ADDED)
		return nil
	case !same(&st, &old):
		c.add(name, guestv1.ChangesResponse_Change_MODIFIED)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR && old.Mode&unix.S_IFMT == unix.S_IFDIR && opaque(path) {
		return c.missing(name, path)
	}
	return nil
}

// add enters a change, and the directory that it is in.
func (c *changes) add(name string, kind guestv1.ChangesResponse_Change_Kind) {
	c.out[name] = kind
	for dir := filepath.Dir(name); dir != "/"; dir = filepath.Dir(dir) {
		if _, ok := c.out[dir]; ok {
			return
		}
		c.out[dir] = guestv1.ChangesResponse_Change_MODIFIED
	}
}

// missing enters what a replaced directory no longer has.
func (c *changes) missing(name, path string) error {
	for _, l := range c.below {
		entries, err := os.ReadDir(filepath.Join(l, name))
		if err != nil {
			continue // This layer has no such directory.
		}
		for _, e := range entries {
			child := filepath.Join(name, e.Name())
			if _, err := os.Lstat(filepath.Join(path, e.Name())); err == nil {
				continue
			}
			if _, existed := c.stat(child); existed {
				c.add(child, guestv1.ChangesResponse_Change_DELETED)
			}
		}
	}
	return nil
}

// stat looks a name up in the image, as the overlay would.
func (c *changes) stat(name string) (unix.Stat_t, bool) {
	parts := strings.Split(strings.Trim(name, "/"), "/")
	for _, l := range c.below {
		var st unix.Stat_t
		path, hidden := l, false
		for i, p := range parts {
			path += "/" + p
			if err := unix.Lstat(path, &st); err != nil {
				break
			}
			if whiteout(&st) || (i < len(parts)-1 && st.Mode&unix.S_IFMT != unix.S_IFDIR) {
				return st, false
			}
			if i == len(parts)-1 {
				return st, true
			}
			hidden = hidden || opaque(path)
		}
		if hidden {
			return st, false
		}
	}
	return unix.Stat_t{}, false
}

func whiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func opaque(path string) bool {
	var b [2]byte
	n, err := unix.Lgetxattr(path, "trusted.overlay.opaque", b[:])
	return err == nil && n == 1 && b[0] == 'y'
}

// same tells whether nothing but the copy to the upper has happened.
func same(a, b *unix.Stat_t) bool {
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return false
	}
	if a.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true // Changes of its entries say that it changed.
	}
	return a.Size == b.Size && a.Mtim == b.Mtim
}
