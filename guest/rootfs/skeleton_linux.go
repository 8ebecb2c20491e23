package rootfs

import (
	"os"
	"path/filepath"
)

// makeSkeleton makes the lowest layer of every root: the mount points that every container has, so that making them is
// no change of the container.
func makeSkeleton(dir string) error {
	for _, d := range []string{"dev/pts", "dev/shm", "dev/mqueue", "proc", "sys", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	for _, f := range []string{".dockerenv", "etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/console"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o755); err != nil {
			return err
		}
	}
	return os.Symlink("/proc/mounts", filepath.Join(dir, "etc/mtab"))
}
