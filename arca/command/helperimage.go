package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/arca-engine/arca/arca/instance"
)

// helperImageName is the archive of the helper's image, beside the binaries.
const helperImageName = "helper-image.tar"

// helperImage brings the helper's image to where the frontend, another user, can read it, and tells where; empty: there
// is none. An instance has a copy of its own, made anew when the archive is another one.
func helperImage(home instance.Home) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the helper's image: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find the helper's image: %w", err)
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, helperImageName), filepath.Join(dir, "..", "libexec", "arca", helperImageName)} {
		to := home.Path(helperImageName)
		switch err := copyNewer(path, to); {
		case err == nil:
			return to, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("copy the helper's image: %w", err)
		}
	}
	return "", nil
}

// copyNewer copies a file with its time, unless the copy is there.
func copyNewer(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if have, err := os.Lstat(to); err == nil && have.Mode().IsRegular() && have.Size() == info.Size() && have.ModTime().Equal(info.ModTime()) {
		return nil
	}
	out, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out.Name())
		}
	}()
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o644)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(out.Name(), info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
