package instance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Identity is a uid with its groups, as the kernel checks them.
type Identity struct {
	Name   string
	UID    int
	GID    int
	Groups []int
}

// CheckReachable refuses a home below a directory that who cannot enter; it names that directory and the remedy.
func (h Home) CheckReachable(who Identity) error {
	if who.UID == 0 {
		return nil
	}
	for dir := filepath.Dir(string(h)); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it will be made, enterable
		case err != nil:
			return fmt.Errorf("home %s: %w", h, err)
		case !info.IsDir():
			return fmt.Errorf("home %s: %s is not a directory", h, dir)
		case !mayEnter(info, who):
			return fmt.Errorf("home %s cannot be used: the frontend runs as user %s, who may not enter %s (mode %04o); choose a home outside it with --home, or run `chmod o+x %s`",
				h, who.Name, dir, info.Mode().Perm(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func mayEnter(info fs.FileInfo, who Identity) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	perm := info.Mode().Perm()
	switch {
	case int(st.Uid) == who.UID:
		return perm&0o100 != 0
	case int(st.Gid) == who.GID || slices.Contains(who.Groups, int(st.Gid)):
		return perm&0o010 != 0
	default:
		return perm&0o001 != 0
	}
}
