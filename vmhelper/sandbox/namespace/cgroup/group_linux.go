package cgroup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the groups of one sandbox, one directory per hierarchy.
type Group struct{ Dirs []string }

// Make makes the groups of a sandbox.
func (l *Layout) Make(id string) (*Group, error) {
	g := &Group{}
	for _, h := range l.v1 {
		dir := filepath.Join(h.instance, id)
		g.Dirs = append(g.Dirs, dir)
		if err := makeV1(dir, strings.Contains(h.mount.Options, "cpuset")); err != nil {
			return g, fmt.Errorf("make control group: %w", err)
		}
	}
	if l.v2 != "" {
		dir := filepath.Join(l.v2, id)
		g.Dirs = append(g.Dirs, dir)
		if err := l.makeV2(dir); err != nil {
			return g, fmt.Errorf("make control group: %w", err)
		}
	}
	return g, nil
}

// makeV1 makes dir, two levels of parents at most included, and gives a cpuset what it must have to take a process.
func makeV1(dir string, cpuset bool) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeV1(filepath.Dir(dir), cpuset); err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) || !cpuset {
		return ignoreExist(err)
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		if _, err := fillCPUSet(dir, name); err != nil {
			return err
		}
	}
	return nil
}

// fillCPUSet gives the file of a group its parent's value when it has none, and tells the value. The parent may be empty,
// too: another start has just made it, or was killed when it had.
func fillCPUSet(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil || len(bytes.TrimSpace(b)) > 0 {
		return b, err
	}
	if b, err = fillCPUSet(filepath.Dir(dir), name); err != nil {
		return nil, err
	}
	return b, os.WriteFile(path, b, 0)
}

func ignoreExist(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (l *Layout) makeV2(dir string) error {
	if err := ignoreExist(os.Mkdir(dir, 0o755)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if len(l.v1) > 0 {
		return nil // The controllers are in the other hierarchies.
	}
	for d := l.v2Mount; d != dir; d = filepath.Join(d, firstBelow(d, dir)) {
		b, err := os.ReadFile(filepath.Join(d, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, c := range strings.Fields(string(b)) {
			// One that cannot be handed down (it is threaded, or busy elsewhere) is missing below, which the agent reports.
			_ = os.WriteFile(filepath.Join(d, "cgroup.subtree_control"), []byte("+"+c), 0)
		}
	}
	return nil
}

func firstBelow(d, dir string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(dir, d), "/")
	first, _, _ := strings.Cut(rel, "/")
	return first
}

// Tasks are the files through which a thread enters the version 1 groups.
func (g *Group) Tasks() []string {
	var ts []string
	for _, d := range g.Dirs {
		if !unified(d) {
			ts = append(ts, filepath.Join(d, "tasks"))
		}
	}
	return ts
}

// Unified opens the version 2 group; nil without one.
func (g *Group) Unified() (*os.File, error) {
	for _, d := range g.Dirs {
		if unified(d) {
			return os.Open(d)
		}
	}
	return nil, nil
}

// unified tells whether a group is of version 2: only there it has this file.
func unified(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "cgroup.events"))
	return err == nil
}

// Kill thaws and kills every process of the sandbox. It is done when they are all signalled, not when they are gone.
func (g *Group) Kill() error {
	var errs []error
	killed := false
	for _, d := range g.Dirs {
		if strings.Contains(d, "/freezer") {
			errs = append(errs, walk(d, func(dir string) error {
				return ignoreGone(writeExisting(filepath.Join(dir, "freezer.state"), "THAWED"))
			}))
		}
		if unified(d) && writeExisting(filepath.Join(d, "cgroup.kill"), "1") == nil {
			killed = true
		}
	}
	if !killed {
		for _, d := range g.Dirs {
			errs = append(errs, walk(d, killProcs))
		}
	}
	return errors.Join(errs...)
}

func writeExisting(path, s string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func killProcs(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return ignoreGone(err)
	}
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil || pid <= 1 || pid == os.Getpid() {
			// 0 stands for a process of a foreign pid namespace. This process is listed while the thread that started the
			// agent has not ended.
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// walk calls f for dir's descendants and then for dir.
func walk(dir string, f func(string) error) error {
	es, err := os.ReadDir(dir)
	if err != nil {
		return ignoreGone(err)
	}
	for _, e := range es {
		if e.IsDir() {
			if err := walk(filepath.Join(dir, e.Name()), f); err != nil {
				return err
			}
		}
	}
	return f(dir)
}

// Remove removes the groups. Killed processes leave a group a little later, of which version 1 gives no notice: it is
// tried again, with growing pauses, until ctx ends.
func (g *Group) Remove(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		var errs []error
		for _, d := range g.Dirs {
			errs = append(errs, walk(d, func(dir string) error {
				if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
					return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
				}
				return nil
			}))
		}
		err := errors.Join(errs...)
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("remove control group: %w", err)
		}
		if err := g.Kill(); err != nil {
			return err
		}
	}
}

// Leftovers lists the sandboxes of the instance that have groups.
func (l *Layout) Leftovers() map[string]*Group {
	found := map[string]*Group{}
	for _, inst := range l.instances() {
		es, err := os.ReadDir(inst)
		if err != nil {
			continue // It does not exist.
		}
		for _, e := range es {
			if e.IsDir() {
				if found[e.Name()] == nil {
					found[e.Name()] = &Group{}
				}
				found[e.Name()].Dirs = append(found[e.Name()].Dirs, filepath.Join(inst, e.Name()))
			}
		}
	}
	return found
}

// Close removes the instance's own groups where they are empty.
func (l *Layout) Close() {
	for _, inst := range l.instances() {
		if unix.Rmdir(inst) == nil {
			_ = unix.Rmdir(filepath.Dir(inst)) // Other instances may use it.
		}
	}
}

func (l *Layout) instances() []string {
	var dirs []string
	for _, h := range l.v1 {
		dirs = append(dirs, h.instance)
	}
	if l.v2 != "" {
		dirs = append(dirs, l.v2)
	}
	return dirs
}
