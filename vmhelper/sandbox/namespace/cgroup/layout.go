package cgroup

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/arca-engine/arca/internal/bootwire"
)

// Layout is where an instance's groups lie.
type Layout struct {
	v1      []hierarchy
	v2      string // the instance's group in the unified hierarchy; empty without one.
	v2Mount string
}

type hierarchy struct {
	mount    bootwire.CgroupMount
	instance string // the instance's group.
}

const mountInfo, ownGroups = "/proc/self/mountinfo", "/proc/self/cgroup"

// Discover reads how control groups are mounted here.
func Discover(instance string) (*Layout, error) {
	mi, err := os.ReadFile(mountInfo)
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	own, err := os.ReadFile(ownGroups)
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	l := discover(string(mi), string(own), instance)
	if len(l.v1) == 0 && l.v2 == "" {
		return nil, fmt.Errorf("find control groups: none are mounted at /sys/fs/cgroup")
	}
	return l, nil
}

func discover(mi, own, instance string) *Layout {
	groups := map[string]string{} // controller to own group.
	for s := bufio.NewScanner(strings.NewReader(own)); s.Scan(); {
		if f := strings.SplitN(s.Text(), ":", 3); len(f) == 3 {
			for _, c := range strings.Split(f[1], ",") {
				groups[c] = f[2]
			}
		}
	}
	l := &Layout{}
	for s := bufio.NewScanner(strings.NewReader(mi)); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 || !strings.HasPrefix(f[4], "/sys/fs/cgroup") {
			continue
		}
		switch g[0] {
		case "cgroup2":
			l.v2Mount, l.v2 = f[4], filepath.Join(f[4], "arca", instance)
		case "cgroup":
			opts := controllers(g[2])
			if opts == "" {
				continue
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(opts, "none,"), ",")
			l.v1 = append(l.v1, hierarchy{
				mount:    bootwire.CgroupMount{Name: filepath.Base(f[4]), FSType: "cgroup", Options: opts},
				instance: filepath.Join(f[4], groups[first], "arca", instance),
			})
		}
	}
	return l
}

// controllers keeps of a version 1 mount's options what is needed to mount the same hierarchy again.
func controllers(opts string) string {
	var keep []string
	for _, o := range strings.Split(opts, ",") {
		switch {
		case strings.HasPrefix(o, "name="):
			return "none," + o
		case o == "rw", o == "ro", o == "xattr", o == "clone_children", strings.HasPrefix(o, "release_agent="):
		default:
			keep = append(keep, o)
		}
	}
	return strings.Join(keep, ",")
}

// Facts tells an agent what to mount.
func (l *Layout) Facts() bootwire.Cgroup {
	if len(l.v1) == 0 {
		return bootwire.Cgroup{Version: 2, Mounts: []bootwire.CgroupMount{{FSType: "cgroup2"}}}
	}
	c := bootwire.Cgroup{Version: 1}
	for _, h := range l.v1 {
		c.Mounts = append(c.Mounts, h.mount)
	}
	if l.v2 != "" {
		c.Mounts = append(c.Mounts, bootwire.CgroupMount{Name: filepath.Base(l.v2Mount), FSType: "cgroup2"})
	}
	return c
}
