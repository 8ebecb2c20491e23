package flatpkg

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The type bits of a mode, as in stat(2).
const (
	typeMask    = 0o170000
	typeDir     = 0o040000
	typeSymlink = 0o120000
	typeRegular = 0o100000
)

// entry is a file, directory or symbolic link of a payload. All belong to root and group wheel.
type entry struct {
	path string // "." or "./a/b".
	mode uint32 // with type bits.
	data []byte // content, or a link's target.
}

func (e *entry) isDir() bool { return e.mode&typeMask == typeDir }

// readTree reads a staging directory, sorted by path.
func readTree(root string) ([]entry, error) {
	var all []entry
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		e, err := readEntry(path, d)
		if err != nil {
			return err
		}
		if e.path = "."; rel != "." {
			e.path = "./" + filepath.ToSlash(rel)
		}
		all = append(all, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read staging directory: %w", err)
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

func readEntry(path string, d fs.DirEntry) (e entry, err error) {
	info, err := d.Info()
	if err != nil {
		return e, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.mode = typeDir | uint32(mode.Perm())
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return e, err
		}
		e.mode, e.data = typeSymlink|0o755, []byte(target)
	case mode.IsRegular():
		e.mode = typeRegular | uint32(mode.Perm())
		e.data, err = os.ReadFile(path)
	default:
		err = fmt.Errorf("%s is neither a file, a directory nor a symbolic link", path)
	}
	return e, err
}

// kilobytes is what the files take, as the Installer counts.
func kilobytes(all []entry) (kb int64) {
	for _, e := range all {
		if e.mode&typeMask == typeRegular {
			kb += (int64(len(e.data)) + 1023) / 1024
		}
	}
	return kb
}
