package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/arca-engine/arca/internal/debimage"
)

// recipeVersion changes with whatever this file makes.
const recipeVersion = "1"

// packages that the programs are of; apt tells what those depend on.
var packages = []string{"openvswitch-switch", "ovn-central", "ovn-host"}

// unwanted are the beginnings of names of packages that scripts alone need.
var unwanted = []string{"python3", "libpython3", "perl", "libperl", "dpkg_", "debconf_"}

// programs of the image. The last ones are for whoever looks inside.
var programs = []string{
	"usr/sbin/ovsdb-server", "usr/lib/openvswitch-switch/ovs-vswitchd", "usr/bin/ovn-northd", "usr/bin/ovn-controller",
	"usr/bin/ovs-appctl", "usr/bin/ovs-ofctl", "usr/bin/ovs-vsctl", "usr/bin/ovn-nbctl", "usr/bin/ovn-sbctl",
}

// files that the daemons read.
var files = []string{"usr/share/openvswitch/vswitch.ovsschema", "usr/share/ovn/ovn-nb.ovsschema", "usr/share/ovn/ovn-sb.ovsschema"}

// key tells recipes apart.
func key() string {
	h := sha256.New()
	for _, list := range [][]string{{recipeVersion, runtime.GOARCH}, packages, unwanted, programs, files} {
		_, _ = fmt.Fprintf(h, "%q\n", list) // A hash takes everything.
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// unpacked are packages, each in a directory of its own.
type unpacked struct {
	dirs []string
	used map[string]bool // directories that something was taken from.
}

// unpack fetches the packages and unpacks those that are wanted.
func unpack(ctx context.Context, cache, tmp string) (*unpacked, error) {
	debs, err := debimage.Apt{Dir: filepath.Join(cache, "debs")}.Closure(ctx, packages...)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, err
	}
	u := &unpacked{used: map[string]bool{}}
	for _, deb := range debs {
		name := filepath.Base(deb)
		if slices.ContainsFunc(unwanted, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		pkg, _, _ := strings.Cut(name, "_")
		dir := filepath.Join(tmp, pkg)
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("unpack %s: %w: %s", name, err, debimage.LastLine(out))
		}
		u.dirs = append(u.dirs, dir)
	}
	return u, nil
}

// find returns where a file of the packages is, by one of its names.
func (u *unpacked) find(names ...string) (string, error) {
	for _, dir := range u.dirs {
		for _, name := range names {
			path := filepath.Join(dir, name)
			info, err := os.Lstat(path)
			if err != nil {
				continue
			}
			if info.Mode()&fs.ModeSymlink != 0 { // Absolute ones are within the image.
				target, err := os.Readlink(path)
				if err != nil {
					return "", err
				}
				if !filepath.IsAbs(target) {
					target = filepath.Join("/", filepath.Dir(name), target)
				}
				return u.find(strings.TrimPrefix(target, "/"))
			}
			u.used[dir] = true
			return path, nil
		}
	}
	return "", fmt.Errorf("no package has %s", names[0])
}

// write adds programs with all that they need, and the licenses of the packages that all of it is from.
func (u *unpacked) write(l *debimage.Layer) error {
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		l.Dir(0o755, "usr/"+d)
		l.Symlink(d, "usr/"+d)
	}
	l.Dir(0o755, "dev", "etc", "proc", "sys", "run", "var", "var/log", "usr/share", "usr/share/openvswitch", "usr/share/ovn")
	l.Dir(0o1777, "tmp")
	l.Symlink("var/run", "/run")
	l.Text("etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\n")
	l.Text("etc/group", 0o644, "root:x:0:\n")
	l.Text("etc/resolv.conf", 0o644, "") // The daemons ask nobody.
	needed := map[string]string{}
	for _, p := range programs {
		path, err := u.find(p)
		if err != nil {
			return err
		}
		l.CopyFile(p, 0o755, path)
		if err := u.libraries(path, needed); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		l.CopyFile(name, 0o755, needed[name])
	}
	for _, f := range files {
		path, err := u.find(f)
		if err != nil {
			return err
		}
		l.CopyFile(f, 0o644, path)
	}
	for _, dir := range u.dirs {
		license := filepath.Join("usr/share/doc", filepath.Base(dir), "copyright")
		if _, err := os.Stat(filepath.Join(dir, license)); u.used[dir] && err == nil {
			l.CopyFile(license, 0o644, filepath.Join(dir, license))
		}
	}
	return nil
}
