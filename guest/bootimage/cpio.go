package bootimage

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// File is an entry of an initramfs.
type File struct {
	Path string // "arca/bin/runc", without a leading slash.
	Mode uint32 // with type bits, as in stat(2).
	Data []byte
	// Major and Minor of a device.
	Major, Minor uint32
}

// Type bits of a mode.
const (
	typeDirectory = 0o040000
	typeCharacter = 0o020000
	typeRegular   = 0o100000
)

// writeCPIO writes an archive in the "newc" format, which the kernel unpacks (its buffer-format.rst). Directories that
// are needed are made.
func writeCPIO(w io.Writer, files []File) error {
	all := withDirectories(files)
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := range all {
		if i > 0 && all[i].Path == all[i-1].Path {
			return fmt.Errorf("initramfs: %s is there twice", all[i].Path)
		}
		if err := writeEntry(w, i+1, &all[i]); err != nil {
			return err
		}
	}
	return writeEntry(w, 0, &File{Path: "TRAILER!!!"})
}

func withDirectories(files []File) []File {
	all, have := slices.Clone(files), map[string]bool{}
	for _, f := range files {
		if f.Mode&typeDirectory != 0 && f.Mode&typeRegular == 0 {
			have[f.Path] = true
		}
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "." && !have[dir]; dir = path.Dir(dir) {
			have[dir] = true
			all = append(all, File{Path: dir, Mode: typeDirectory | 0o755})
		}
	}
	return all
}

// padding brings n to a multiple of four.
func padding(n int) string { return "\x00\x00\x00"[:-n&3] }

func writeEntry(w io.Writer, inode int, f *File) error {
	if int64(len(f.Data)) > 1<<32-1 {
		return fmt.Errorf("initramfs: %s has %d bytes", f.Path, len(f.Data))
	}
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		inode, f.Mode, 0, 0, 1, 0, len(f.Data), 0, 0, f.Major, f.Minor, len(f.Path)+1, 0, f.Path)
	for _, part := range []string{head, padding(len(head))} {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	if _, err := w.Write(f.Data); err != nil {
		return err
	}
	_, err := io.WriteString(w, padding(len(f.Data)))
	return err
}
