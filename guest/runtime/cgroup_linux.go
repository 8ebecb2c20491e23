package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// unified tells whether control groups are version 2 alone.
func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// Groups returns the directories of a container's control groups: one, or one for each hierarchy.
func Groups(path string) []string {
	if unified() {
		return []string{filepath.Join(cgroupRoot, path)}
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		dir := filepath.Join(cgroupRoot, e.Name(), path)
		if _, err := os.Lstat(dir); err == nil && e.IsDir() {
			out = append(out, dir)
		}
	}
	return out
}

// Group returns the directory of the group that a controller is in.
func Group(controller, path string) string {
	if unified() {
		return filepath.Join(cgroupRoot, path)
	}
	return filepath.Join(cgroupRoot, controller, path)
}

// OOMKills counts the processes of a container that the kernel has killed for want of memory.
func (r *Runtime) OOMKills(path string) uint64 {
	file := "memory.oom_control"
	if unified() {
		file = "memory.events"
	}
	values, err := KeyValues(filepath.Join(Group("memory", path), file))
	if err != nil {
		return 0 // Without a memory controller nothing is killed for a limit.
	}
	return values["oom_kill"]
}

// KeyValues reads a control group's file of lines "key value".
func KeyValues(path string) (map[string]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	out := map[string]uint64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), " ")
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64); err == nil {
			out[key] = n
		}
	}
	return out, nil
}

// Forget removes the control groups and runc's record of a container whose first process has ended. What it cannot
// remove so, because processes are left, runc removes.
func (r *Runtime) Forget(ctx context.Context, id, path string) error {
	var errs []error
	for _, dir := range Groups(path) {
		errs = append(errs, removeGroup(dir))
	}
	if errors.Join(errs...) != nil {
		return r.Delete(ctx, id)
	}
	if err := os.RemoveAll(filepath.Join(r.root, id)); err != nil {
		return fmt.Errorf("remove runc's record: %w", err)
	}
	return nil
}

// removeGroup removes a group and those that the container made below it.
func removeGroup(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	var below []string
	werr := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			below = append(below, p)
		}
		return err
	})
	if werr != nil {
		return werr
	}
	for i := len(below) - 1; i >= 0; i-- {
		if err := unix.Rmdir(below[i]); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return nil
}
