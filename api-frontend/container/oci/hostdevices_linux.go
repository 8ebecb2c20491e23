package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HostDevices looks the devices of this machine up; a stat needs no privilege.
type HostDevices struct{}

var _ Devices = HostDevices{}

var errNotADevice = errors.New("not a device node")

const maxDevices = 4096

// All lists the devices below /dev but for those that a container has of its own.
func (HostDevices) All() ([]specs.LinuxDevice, error) { return walk("/dev") }

// At lists the device at a path, or those in the directory at that path.
func (HostDevices) At(path string) ([]specs.LinuxDevice, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	d, err := device(real)
	if err == nil {
		d.Path = path
		return []specs.LinuxDevice{*d}, nil
	}
	if fi, serr := os.Stat(real); !errors.Is(err, errNotADevice) || serr != nil || !fi.IsDir() {
		return nil, err
	}
	devs, werr := walk(real)
	if werr != nil {
		return nil, werr
	}
	if len(devs) == 0 {
		return nil, err
	}
	for i := range devs {
		devs[i].Path = path + devs[i].Path[len(real):]
	}
	return devs, nil
}

func walk(root string) ([]specs.LinuxDevice, error) {
	var devs []specs.LinuxDevice
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if path == root {
				return err
			}
			return nil // a directory that is closed to us, or a device that went.
		}
		if e.IsDir() {
			switch e.Name() {
			case "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev":
				if path != root {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if e.Name() == "console" || e.Type()&fs.ModeDevice == 0 || len(devs) >= maxDevices {
			return nil
		}
		d, err := device(path)
		if err != nil {
			return nil // it went between the listing and the look.
		}
		devs = append(devs, *d)
		return nil
	})
	return devs, err
}

func device(path string) (*specs.LinuxDevice, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	d := &specs.LinuxDevice{Path: path, Major: int64(unix.Major(uint64(st.Rdev))), Minor: int64(unix.Minor(uint64(st.Rdev)))}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		d.Type = "b"
	case unix.S_IFCHR:
		d.Type = "c"
	default:
		return nil, fmt.Errorf("%s: %w", path, errNotADevice)
	}
	mode, uid, gid := os.FileMode(st.Mode&0o7777), st.Uid, st.Gid
	d.FileMode, d.UID, d.GID = &mode, &uid, &gid
	return d, nil
}
