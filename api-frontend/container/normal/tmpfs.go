package normal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"
)

// tmpfsFlags pairs each flag of a mount with the one it undoes.
var tmpfsFlags = map[string]string{
	"ro": "rw", "rw": "ro", "exec": "noexec", "noexec": "exec", "suid": "nosuid", "nosuid": "suid", "dev": "nodev",
	"nodev": "dev", "sync": "async", "async": "sync", "atime": "noatime", "noatime": "atime", "diratime": "nodiratime",
	"nodiratime": "diratime", "relatime": "norelatime", "norelatime": "relatime", "strictatime": "nostrictatime",
	"nostrictatime": "strictatime", "dirsync": "", "mand": "nomand", "nomand": "mand", "remount": "", "defaults": "",
	"bind": "", "rbind": "",
	"private": "propagation", "rprivate": "propagation", "shared": "propagation", "rshared": "propagation",
	"slave": "propagation", "rslave": "propagation", "unbindable": "propagation", "runbindable": "propagation",
}

// tmpfsKeys are the options of tmpfs that have a value.
var tmpfsKeys = []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}

func splitOptions(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// mergeTmpfs joins Docker's default options with the client's: the last of a kind counts.
func mergeTmpfs(own []string) ([]string, error) {
	all := append([]string{"noexec", "nosuid", "nodev", "rprivate"}, own...)
	kinds := map[string]bool{}
	var out []string
	for _, o := range slices.Backward(all) {
		kind := o
		if opposite, ok := tmpfsFlags[o]; ok {
			if opposite == "propagation" {
				kind = opposite
			} else if opposite != "" {
				kind = min(o, opposite)
			}
		} else {
			k, v, ok := strings.Cut(o, "=")
			if !ok || v == "" || !slices.Contains(tmpfsKeys, k) {
				return nil, invalidf("invalid tmpfs option [%q]", o)
			}
			kind = k
		}
		if !kinds[kind] {
			kinds[kind] = true
			out = append(out, o)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// tmpfsOptions makes the options of a mount of type tmpfs.
func tmpfsOptions(m *mount.Mount) ([]string, error) {
	var own []string
	if m.ReadOnly {
		own = append(own, "ro")
	}
	if o := m.TmpfsOptions; o != nil {
		if o.Mode != 0 {
			own = append(own, fmt.Sprintf("mode=%o", o.Mode))
		}
		if o.SizeBytes < 0 {
			return nil, mountError(m, "size must not be negative")
		}
		if o.SizeBytes != 0 {
			own = append(own, "size="+humanSize(o.SizeBytes))
		}
		for _, opt := range o.Options {
			if len(opt) < 1 || len(opt) > 2 {
				return nil, mountError(m, "invalid option array length")
			}
			if opt[0] != "exec" && opt[0] != "noexec" {
				return nil, mountError(m, "invalid option: "+opt[0])
			}
			own = append(own, strings.Join(opt, "="))
		}
	}
	opts, err := mergeTmpfs(own)
	if err != nil {
		return nil, mountError(m, err.Error())
	}
	return opts, nil
}

func humanSize(n int64) string {
	for _, u := range []struct {
		suffix string
		size   int64
	}{{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}} {
		if n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.suffix)
		}
	}
	return fmt.Sprint(n)
}
