package initproc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
)

// Directories of the private root.
const (
	Run        = "/run"
	Containers = "/arca/containers"
)

type point struct {
	path, fstype, options string
	flags                 uintptr
}

// makeRoot puts the agent on a tmpfs of its own and forgets the host's root.
func makeRoot(spec *bootwire.Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	dev := -1
	if spec.HostDevices {
		var err error
		if dev, err = unix.OpenTree(unix.AT_FDCWD, "/dev", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC); err != nil {
			return fmt.Errorf("open the host's devices: %w", err)
		}
		defer func() { _ = unix.Close(dev) }()
	}
	if err := unix.Mount("arca", newRoot, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	if err := os.Chdir(newRoot); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("drop the host's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter the root: %w", err)
	}
	for _, d := range []string{"/proc", "/sys", "/dev", "/tmp", "/run/netns", "/etc", "/arca/bin", Containers} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	points := []point{{"/proc", "proc", "", quiet}, {"/sys", "sysfs", "", quiet}}
	if spec.Cgroup.Version == 1 {
		points = append(points, point{"/sys/fs/cgroup", "tmpfs", "mode=755", quiet})
	}
	for _, m := range spec.Cgroup.Mounts {
		points = append(points, point{filepath.Join("/sys/fs/cgroup", m.Name), m.FSType, m.Options, quiet})
	}
	if dev < 0 {
		points = append(points, point{"/dev", "tmpfs", "mode=755", unix.MS_NOSUID | unix.MS_NOEXEC},
			point{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
			point{"/dev/shm", "tmpfs", "mode=1777", quiet})
	}
	for _, p := range points {
		if p.fstype != "sysfs" && p.fstype != "proc" {
			if err := os.MkdirAll(p.path, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(p.fstype, p.path, p.fstype, p.flags, p.options); err != nil {
			return fmt.Errorf("mount %s: %w", p.path, err)
		}
	}
	if dev >= 0 {
		if err := unix.MoveMount(dev, "", unix.AT_FDCWD, "/dev", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount /dev: %w", err)
		}
		return nil
	}
	return makeDevices()
}

func makeDevices() error {
	for name, n := range map[string][2]uint32{"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "tty": {5, 0}, "fuse": {10, 229}, "loop-control": {10, 237}} {
		path := "/dev/" + name
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(n[0], n[1]))); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	return errors.Join(os.Symlink("pts/ptmx", "/dev/ptmx"), os.Symlink("/proc/self/fd", "/dev/fd"))
}

// cgroups prepares the groups below which containers get theirs.
func cgroups(c bootwire.Cgroup) error {
	if c.Version != 2 {
		return nil
	}
	return delegate("/sys/fs/cgroup")
}

// delegate moves the agent into a leaf of its own, because a group with processes cannot pass controllers on, and passes
// on what can be. A controller that the machine keeps back (cpu, where real-time processes run) is no error here, as in
// runc: who asks for its limit is told.
func delegate(root string) error {
	if err := os.MkdirAll(root+"/agent", 0o755); err != nil {
		return fmt.Errorf("make the agent's control group: %w", err)
	}
	if err := os.WriteFile(root+"/agent/cgroup.procs", []byte("0"), 0o600); err != nil {
		return fmt.Errorf("enter the agent's control group: %w", err)
	}
	b, err := os.ReadFile(root + "/cgroup.controllers")
	if err != nil {
		return fmt.Errorf("read controllers: %w", err)
	}
	for _, name := range strings.Fields(string(b)) {
		_ = os.WriteFile(root+"/cgroup.subtree_control", []byte("+"+name), 0o600)
	}
	return nil
}

// LoopbackUp sets lo of the calling thread's network namespace up.
func LoopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	defer func() { _ = unix.Close(s) }()
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}
