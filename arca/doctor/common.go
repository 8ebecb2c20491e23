package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/arca/account"
	"github.com/arca-engine/arca/arca/instance"
)

// Common are the checks of every platform.
func Common(home instance.Home) []Check {
	return []Check{
		{"docker CLI", dockerCLI},
		{"DOCKER_HOST", func(context.Context) Finding { return dockerHost(home) }},
		{"home", func(context.Context) Finding { return reachable(home) }},
		{"API socket", func(ctx context.Context) Finding { return socket(ctx, home) }},
		{"networks' helper", func(context.Context) Finding { return helper(home) }},
		{"disk space", func(context.Context) Finding { return space(home) }},
	}
}

func dockerCLI(ctx context.Context) Finding {
	path, err := exec.LookPath("docker")
	if err != nil {
		return warn("the docker CLI is not installed; `make prerequisites` says how to get it without a second daemon")
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return bad("%s does not run: %v; install it anew", path, err)
	}
	return good("%s: %s", path, strings.TrimSpace(string(out)))
}

func dockerHost(home instance.Home) Finding {
	switch host := os.Getenv("DOCKER_HOST"); host {
	case "":
		return good("not set; the docker context decides")
	case home.Endpoint():
		return good("points to this instance")
	default:
		return warn("points to %s, not to this instance (%s)", host, home.Endpoint())
	}
}

func reachable(home instance.Home) Finding {
	who, err := account.Self()
	if os.Geteuid() == 0 {
		who, err = account.Lookup(account.FrontendUser)
		var unknown user.UnknownUserError
		if errors.As(err, &unknown) {
			who, err = instance.Identity{Name: account.FrontendUser, UID: 1 << 30, GID: 1 << 30}, nil
		}
	}
	if err != nil {
		return bad("%v", err)
	}
	if err := home.CheckReachable(who); err != nil {
		return bad("%v", err)
	}
	return good("%s can be entered by user %s", home, who.Name)
}

func socket(ctx context.Context, home instance.Home) Finding {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", home.APISocket())
	switch {
	case err == nil:
		_ = conn.Close()
		return good("%s answers", home.APISocket())
	case errors.Is(err, fs.ErrPermission):
		return bad("you may not use %s: run `sudo usermod -aG %s $USER` and log in again", home.APISocket(), account.APIGroup)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return warn("nobody listens on %s: start the instance with `arca up`", home.APISocket())
	default:
		return bad("%v", err)
	}
}

func helper(home instance.Home) Finding {
	s, err := home.ReadHelper()
	switch {
	case err != nil:
		return warn("%v", err)
	case s == nil:
		return good("not started yet")
	case s.Problem != "":
		return bad("%s: %s; see %s", s.State, s.Problem, home.HelperLog())
	}
	return good("%s", s.State)
}

// enoughSpace is where a pull of an ordinary image begins to fail.
const enoughSpace = 2 << 30

func space(home instance.Home) Finding {
	dir := home.String()
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return bad("%s: %v", dir, err)
		}
		dir = filepath.Dir(dir)
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < enoughSpace {
		return bad("only %d MiB are free below %s: make room, or choose another directory with --home", free>>20, dir)
	}
	return good("%d GiB free below %s", free>>30, dir)
}
