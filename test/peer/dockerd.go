package peer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/arca-engine/arca/internal/debimage"
)

// Dockerd is a running reference daemon.
type Dockerd struct {
	dir  string
	cmd  *exec.Cmd
	done chan error
}

// Packages that make a dockerd.
var Packages = []string{"docker.io", "containerd", "runc", "iptables", "tini"}

// registry is the address of the fixture registry inside the daemon's network namespace.
const registry = "127.0.0.1:5000"

// Start unpacks dockerd into the cache if need be and starts it without networks. fixturesProgram is the built command
// fixtures, which serves the images inside the daemon's network namespace.
func Start(ctx context.Context, cache, fixturesProgram string) (*Dockerd, error) {
	return start(ctx, cache, fixturesProgram, "--bridge", "none", "--iptables=false", "--ip6tables=false")
}

// StartNetworks is Start with Docker's networks: its bridges, rules and published ports are in the daemon's network
// namespace, so whoever wants to reach them enters it (Enter).
func StartNetworks(ctx context.Context, cache, fixturesProgram string) (*Dockerd, error) {
	return start(ctx, cache, fixturesProgram)
}

func start(ctx context.Context, cache, fixturesProgram string, flags ...string) (*Dockerd, error) {
	root := filepath.Join(cache, "dockerd")
	if _, err := os.Stat(filepath.Join(root, ".whole")); err != nil {
		if err := debimage.Unpack(ctx, cache, root, Packages...); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(root, ".whole"), nil, 0o644); err != nil {
			return nil, err
		}
	}
	if err := linkTables(filepath.Join(root, "usr/sbin")); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/var/tmp", "dockerd-")
	if err != nil {
		return nil, err
	}
	d := &Dockerd{dir: dir, done: make(chan error, 1)}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	script := `ip link set lo up
"$1" --cache "$2" serve --addr ` + registry + ` &
shift 2
exec "$@"`
	args := []string{"--net", "--", "sh", "-ec", script, "dockerd", fixturesProgram, cache,
		filepath.Join(root, "usr/sbin/dockerd"), "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", "unix://" + d.Socket(), "--group", "root", "--registry-mirror", "http://" + registry}
	args = append(args, flags...)
	d.cmd = exec.Command("unshare", args...) //nolint:noctx // the daemon ends by Stop, not with the context of its start
	d.cmd.Env = []string{"PATH=" + strings.Join([]string{filepath.Join(root, "usr/bin"), filepath.Join(root, "usr/sbin"), filepath.Join(root, "sbin"), os.Getenv("PATH")}, ":"),
		"LD_LIBRARY_PATH=" + filepath.Join(root, "usr/lib/x86_64-linux-gnu") + ":" + filepath.Join(root, "lib/x86_64-linux-gnu"), "HOME=" + dir,
		"XTABLES_LIBDIR=" + filepath.Join(root, "usr/lib/x86_64-linux-gnu/xtables")}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.done <- d.cmd.Wait() }()
	if err := d.wait(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("dockerd: %w\n%s", err, text), d.Stop())
	}
	return d, nil
}

// Socket is its API.
func (d *Dockerd) Socket() string { return filepath.Join(d.dir, "docker.sock") }

// linkTables makes the links that the maintainer scripts of iptables, which did not run, would make.
func linkTables(dir string) error {
	for _, name := range []string{"iptables", "ip6tables"} {
		if err := os.Symlink("xtables-nft-multi", filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Enter is a command in the daemon's network namespace.
func (d *Dockerd) Enter(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", d.cmd.Process.Pid), "--"}, args...)...)
}

// PIDs tells the daemon's processes: dockerd and its containerd.
func (d *Dockerd) PIDs() []int {
	pids := []int{d.cmd.Process.Pid}
	if b, err := os.ReadFile(filepath.Join(d.dir, "exec", "containerd", "containerd.pid")); err == nil {
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (d *Dockerd) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket())
	}}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://d/_ping", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case ended := <-d.done:
			d.done <- ended
			return fmt.Errorf("it ended: %w", errors.Join(ended, err))
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// Stop ends the daemon and all that it started.
func (d *Dockerd) Stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case ended := <-d.done:
		_ = ended // a daemon ended by a signal tells nothing
	case <-time.After(30 * time.Second):
		_ = d.cmd.Process.Kill()
		if ended := <-d.done; ended == nil {
			return errors.New("dockerd ended well though it was killed")
		}
	}
	// The registry is of the same process group.
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	for _, mount := range d.mounts() {
		_ = syscall.Unmount(mount, syscall.MNT_DETACH)
	}
	return os.RemoveAll(d.dir)
}

// mounts tells what is mounted below the daemon's directory, the deepest first.
func (d *Dockerd) mounts() []string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], d.dir) {
			found = append([]string{f[1]}, found...)
		}
	}
	return found
}
