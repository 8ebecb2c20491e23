package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/arca/account"
	"github.com/arca-engine/arca/arca/instance"
)

// Checks are those of this platform.
func Checks(home instance.Home) []Check {
	return append([]Check{
		{"kernel", kernel},
		{"cgroups", func(context.Context) Finding { return cgroups("/") }},
		{"overlayfs", func(context.Context) Finding { return filesystem("overlay") }},
		{"ext4", func(context.Context) Finding { return filesystem("ext4") }},
		{"loop devices", loop},
		{"namespaces", namespaces},
		{"accounts", accounts},
		{"root", root},
	}, Common(home)...)
}

// kernel wants 5.12: loop devices are configured in one call (5.8), detached mounts take attributes (5.12).
func kernel(context.Context) Finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return bad("uname: %v", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if major, minor, ok := parseRelease(release); !ok || major < 5 || major == 5 && minor < 12 {
		return bad("kernel %s is older than 5.12: install a newer one", release)
	}
	return good("%s", release)
}

func parseRelease(release string) (major, minor int, ok bool) {
	a, rest, found := strings.Cut(release, ".")
	if !found {
		return 0, 0, false
	}
	b := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		b = rest[:i]
	}
	major, err := strconv.Atoi(a)
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(b)
	return major, minor, err == nil
}

// cgroups looks below root, which a test may put elsewhere.
func cgroups(root string) Finding {
	dir := root + "/sys/fs/cgroup"
	if b, err := os.ReadFile(dir + "/cgroup.controllers"); err == nil {
		missing := missingOf(strings.Fields(string(b)), "memory", "pids", "cpu")
		if len(missing) > 0 {
			return warn("cgroup v2 lacks the controllers %s: the limits that need them are refused", strings.Join(missing, ", "))
		}
		return good("version 2")
	}
	var have []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return bad("%v: mount the cgroup hierarchy at /sys/fs/cgroup", err)
	}
	for _, e := range entries {
		have = append(have, strings.Split(e.Name(), ",")...)
	}
	if missing := missingOf(have, "memory", "pids", "cpu", "devices", "freezer"); len(missing) > 0 {
		return bad("cgroup v1 lacks %s: mount it below /sys/fs/cgroup", strings.Join(missing, ", "))
	}
	return good("version 1")
}

func missingOf(have []string, want ...string) (missing []string) {
	set := map[string]bool{}
	for _, h := range have {
		set[h] = true
	}
	for _, w := range want {
		if !set[w] {
			missing = append(missing, w)
		}
	}
	return missing
}

func filesystem(name string) Finding {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return bad("%v", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == name {
			return good("the kernel has %s", name)
		}
	}
	return warn("the kernel has not loaded %s yet: if containers fail to start, run `modprobe %s`", name, name)
}

func loop(context.Context) Finding {
	_, err := os.Stat("/dev/loop-control")
	switch {
	case err == nil:
		return good("/dev/loop-control is there")
	case errors.Is(err, fs.ErrNotExist):
		return bad("/dev/loop-control is missing: run `modprobe loop`")
	default:
		return bad("%v", err)
	}
}

func namespaces(context.Context) Finding {
	for _, ns := range []string{"pid", "mnt", "net", "ipc", "uts"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			return bad("the kernel has no %s namespaces: %v; use a kernel with them", ns, err)
		}
	}
	return good("pid, mount, net, ipc and uts")
}

func accounts(context.Context) Finding {
	for _, name := range []string{account.FrontendUser, account.WorkerUser} {
		_, err := user.Lookup(name)
		var unknown user.UnknownUserError
		if errors.As(err, &unknown) {
			return warn("the system user %s is not there yet: `arca up` makes it", name)
		}
		if err != nil {
			return bad("user %s: %v", name, err)
		}
	}
	return good("%s and %s are there", account.FrontendUser, account.WorkerUser)
}

func root(context.Context) Finding {
	if os.Geteuid() == 0 {
		return good("you are root")
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return bad("you are not root and sudo is not installed: run `arca up` as root")
	}
	return good("sudo will be asked for vmhelper")
}
