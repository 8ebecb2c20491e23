package layerdisk

import (
	"archive/tar"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
)

// maxLinks bounds the symbolic links followed for one name, as the kernel does.
const maxLinks = 40

type nodeKind uint8

const (
	kindFile nodeKind = iota
	kindDir
	kindSymlink
	kindWhiteout
)

type node struct {
	kind   nodeKind
	index  int
	target string // Of a symbolic link.
}

// tree remembers the names of one layer, so that entries below symbolic links land where they would on a real file
// system, and so that the last of several entries with one name wins.
type tree struct {
	nodes map[string]node
	// replaced holds the indices of entries that a later one replaces. The disk's format cannot take a file back, so a
	// second pass leaves them out.
	replaced map[int]struct{}
}

func newTree() tree { return tree{nodes: make(map[string]node), replaced: make(map[int]struct{})} }

func (t *tree) has(name string) bool {
	_, ok := t.nodes[name]
	return ok
}

func (t *tree) whiteout(name string, index int) {
	t.nodes[name] = node{kind: kindWhiteout, index: index}
}

// place resolves the folders above a name without making them.
func (t *tree) place(name string) (string, error) {
	dir, _, err := t.walk(path.Dir("/" + name)[1:], false)
	if err != nil {
		return "", err
	}
	return path.Join(dir, path.Base(name)), nil
}

// resolve follows a folder's name and adds what is missing of it; missing lists those in order.
func (t *tree) resolve(dir string) (resolved string, missing []string, err error) {
	return t.walk(dir, true)
}

func (t *tree) walk(dir string, add bool) (at string, missing []string, err error) {
	rest := dir
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = path.Dir("/" + at)[1:]
			continue
		}
		next := path.Join(at, name)
		n, ok := t.nodes[next]
		switch {
		case ok && n.kind == kindSymlink:
			if links++; links > maxLinks {
				return "", nil, malformed("too many symbolic links in %q", dir)
			}
			if path.IsAbs(n.target) {
				at = ""
			}
			rest = n.target + "/" + rest
			continue
		case ok && n.kind == kindFile:
			return "", nil, malformed("%q is not a folder", next)
		case ok && n.kind == kindWhiteout && add:
			t.replaced[n.index] = struct{}{}
			t.nodes[next] = node{kind: kindDir, index: -1}
		case !ok && add:
			t.nodes[next] = node{kind: kindDir, index: -1}
			missing = append(missing, next)
		}
		at = next
	}
	return at, missing, nil
}

// add notes an entry. skip says that the entry must wait for the second pass.
func (t *tree) add(name string, h *tar.Header, index int) (skip bool, err error) {
	n := node{kind: kindFile, index: index}
	switch h.Typeflag {
	case tar.TypeDir:
		n.kind = kindDir
	case tar.TypeSymlink:
		n.kind, n.target = kindSymlink, h.Linkname
	}
	if name == "" {
		if n.kind != kindDir {
			return false, malformed("the root is not a folder")
		}
		return false, nil
	}
	old, ok := t.nodes[name]
	switch {
	case ok && old.kind == kindDir && n.kind == kindDir:
	case ok && old.kind == kindDir:
		return false, malformed("%q replaces a folder", name)
	case ok:
		t.replaced[old.index] = struct{}{}
		skip = true
	}
	t.nodes[name] = n
	return skip, nil
}

func malformed(format string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage("malformed layer: " + fmt.Sprintf(format, args...))
}
