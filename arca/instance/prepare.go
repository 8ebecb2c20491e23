package instance

import (
	"fmt"
	"os"
)

// Prepare makes the directories that the jobs expect. Run by root it gives the frontend what is the frontend's and
// keeps the rest: in run/ the frontend may make its socket but, by the sticky bit, not replace vmhelper's directory.
func (h Home) Prepare(frontend Identity) error {
	root := os.Geteuid() == 0
	for _, d := range []struct {
		path     string
		mode     os.FileMode
		uid, gid int
	}{
		{h.String(), 0o755, 0, 0},
		{h.Run(), 0o775 | os.ModeSticky, 0, frontend.GID},
		{h.Path("log"), 0o755, 0, 0},
		{h.Path("frontend"), 0o700, frontend.UID, frontend.GID},
	} {
		if err := os.MkdirAll(d.path, 0o755); err != nil {
			return fmt.Errorf("prepare home: %w", err)
		}
		info, err := os.Lstat(d.path)
		if err != nil {
			return fmt.Errorf("prepare home: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("prepare home: %s is not a directory", d.path)
		}
		if root {
			if err := os.Lchown(d.path, d.uid, d.gid); err != nil {
				return fmt.Errorf("prepare home: %w", err)
			}
		}
		if err := os.Chmod(d.path, d.mode); err != nil {
			return fmt.Errorf("prepare home: %w", err)
		}
	}
	return nil
}
