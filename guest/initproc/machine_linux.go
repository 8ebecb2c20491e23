package initproc

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/guestwire"
)

// What the kernel's command line says to the first process of a virtual machine: words with "=" that the kernel does not know
// become its environment.
const (
	envID     = "ARCA_ID"
	envBootID = "ARCA_BOOT_ID"
)

// Where the initramfs has things: see guest/bootimage.
const (
	machineModules = "/modules"
	machineRunc    = "/arca/bin/runc"
	machineInit    = "/arca/bin/arca-init"
)

// bootMachine makes the world of a virtual machine, of which this is the first process. Disks are found by their serial
// numbers when they are mounted, so nothing has to be told at boot but who the machine is.
func bootMachine() (*World, error) {
	w := &World{
		ID: os.Getenv(envID), BootID: os.Getenv(envBootID), Runc: machineRunc, Init: machineInit, Cgroup: 2, machine: true,
	}
	for _, step := range []func() error{leaveInitramfs, mountMachine, loadModules, raiseLimits, LoopbackUp} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("boot machine: %w", err)
		}
	}
	if err := cgroups(bootwire.Cgroup{Version: 2}); err != nil {
		return nil, fmt.Errorf("boot machine: %w", err)
	}
	l, err := newVsock(guestwire.PortControl, guestwire.PortStream)
	if err != nil {
		return nil, fmt.Errorf("boot machine: %w", err)
	}
	w.listener = l
	return w, nil
}

// leaveInitramfs makes the root a mount of its own: the initramfs itself is the kernel's rootfs, on which pivot_root, and
// with it runc, fails. Nothing is copied.
func leaveInitramfs() error {
	const via = "/mnt"
	if err := unix.Mount("/", via, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("leave the initramfs: %w", err)
	}
	if err := os.Chdir(via); err != nil {
		return fmt.Errorf("leave the initramfs: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("leave the initramfs: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("leave the initramfs: %w", err)
	}
	return os.Chdir("/")
}

func mountMachine() error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, p := range []point{
		{"/proc", "proc", "", quiet}, {"/sys", "sysfs", "", quiet}, {"/dev", "devtmpfs", "mode=755", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"/dev/shm", "tmpfs", "mode=1777", quiet}, {"/sys/fs/cgroup", "cgroup2", "", quiet}, {Run, "tmpfs", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
	} {
		if err := os.MkdirAll(p.path, 0o755); err != nil && p.fstype != "cgroup2" {
			return err
		}
		if err := unix.Mount(p.fstype, p.path, p.fstype, p.flags, p.options); err != nil && err != unix.EBUSY { // The kernel may have mounted /dev.
			return fmt.Errorf("mount %s: %w", p.path, err)
		}
	}
	for _, dir := range []string{Run + "/netns", "/etc", "/tmp", Containers} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// loadModules loads what the initramfs brought, in its order, and gives back the memory that the files take.
func loadModules() error {
	f, err := os.Open(filepath.Join(machineModules, "order"))
	if errors.Is(err, os.ErrNotExist) { // This kernel has everything built in.
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if err := loadModule(filepath.Join(machineModules, s.Text()+".ko")); err != nil {
			return fmt.Errorf("load module %s: %w", s.Text(), err)
		}
	}
	return errors.Join(s.Err(), os.RemoveAll(machineModules))
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	// ENODEV: a module that found no device of its kind has nothing to do.
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// SetClock sets the clock where the sandbox has one of its own: not in a namespace, which shares the host's.
func (w *World) SetClock(t time.Time) error {
	if !w.machine {
		return nil
	}
	tv := unix.NsecToTimeval(t.UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// End ends the sandbox once nothing is mounted any more: a machine is powered off; a namespace ends with its first process.
func (w *World) End() error {
	if !w.machine {
		return nil
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("power off: %w", err)
	}
	return nil
}
