package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/arca-engine/arca/test/fixtures"
)

// Instance is a running Arca.
type Instance struct {
	Home   string
	Config string // DOCKER_CONFIG of the CLI, empty of the user's own
	Mirror string // the registry's URL
	flags  []string
	level  string
	server *http.Server
	peer   string // socket of another engine that stands in for the instance
}

// Options of Start.
type Options struct {
	// Flags are added to `arca up`.
	Flags []string
	// Images are made and served; all when empty.
	Images []string
	// DaemonJSON is the instance's daemon.json; none when empty.
	DaemonJSON string
	// Quiet keeps the daemons' logs at level info.
	Quiet bool
}

// Root is the top of the repository.
func Root() string {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		return filepath.Dir(filepath.Dir(filepath.Dir(file)))
	}
	// Built with -trimpath: tests run below the top.
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for up := dir; up != filepath.Dir(up); up = filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return up
		}
	}
	return dir
}

// Binary tells where a built program is: ARCA_BIN, else bin/.
func Binary(name string) string {
	dir := os.Getenv("ARCA_BIN")
	if dir == "" {
		dir = filepath.Join(Root(), "bin")
	}
	return filepath.Join(dir, name)
}

// Cache is where fixture images are kept.
func Cache() string {
	if dir := os.Getenv("ARCA_CACHE"); dir != "" {
		return dir
	}
	return filepath.Join(Root(), "out", "cache")
}

// Start makes the images, serves them and starts an instance. Where ARCA_PEER names the socket of another engine (see
// test/peer/cmd/peer), that one stands in: so tests of Docker's behaviour are tried on Docker.
func Start(ctx context.Context, o Options) (*Instance, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the integration tests start instances of the namespace driver: run them as root")
	}
	// Below a directory that the frontend's uid may enter, and short, for the sockets' sake.
	base, err := os.MkdirTemp("/var/tmp", "arca-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(base, 0o755); err != nil { //nolint:gosec // the frontend's uid must enter it
		return nil, err
	}
	i := &Instance{Home: filepath.Join(base, "h"), Config: filepath.Join(base, "docker"), flags: o.Flags, level: "debug", peer: os.Getenv("ARCA_PEER")}
	if o.Quiet {
		i.level = "info"
	}
	if err := errors.Join(os.MkdirAll(i.Config, 0o755), os.MkdirAll(i.Home, 0o755)); err != nil {
		return nil, err
	}
	if o.DaemonJSON != "" {
		if err := os.WriteFile(filepath.Join(i.Home, "daemon.json"), []byte(o.DaemonJSON), 0o644); err != nil {
			return nil, err
		}
	}
	if i.peer != "" {
		return i, nil
	}
	if err := i.serveImages(ctx, o.Images); err != nil {
		return nil, err
	}
	if err := i.Up(ctx); err != nil {
		return nil, errors.Join(err, i.Stop(context.WithoutCancel(ctx)))
	}
	return i, nil
}

func (i *Instance) serveImages(ctx context.Context, names []string) error {
	store, err := fixtures.Open(Cache())
	if err != nil {
		return err
	}
	store.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	if err := store.Ensure(ctx, names...); err != nil {
		return err
	}
	handler, err := store.Registry(names...)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	i.Mirror = "http://" + l.Addr().String()
	i.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = i.server.Serve(l) }() // ends at Shutdown
	return nil
}

// Arca runs the CLI arca on the instance.
func (i *Instance) Arca(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, Binary("arca"), append(args, "--home", i.Home)...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+i.Config,
		// Docker Hub is not there for tests: whoever asks for it is refused at once instead of waiting for names.
		"HTTPS_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("arca %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Up starts the instance, or finds it running.
func (i *Instance) Up(ctx context.Context) error {
	args := append([]string{"up", "--registry-mirror", i.Mirror, "--log-level", i.level}, i.flags...)
	_, err := i.Arca(ctx, args...)
	return err
}

// Stop stops the instance and removes its directory.
func (i *Instance) Stop(ctx context.Context) error {
	if i.peer != "" {
		return os.RemoveAll(filepath.Dir(i.Home))
	}
	_, err := i.Arca(ctx, "down")
	if i.server != nil {
		err = errors.Join(err, i.server.Close())
	}
	if os.Getenv("ARCA_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "kept:", i.Home)
		return err
	}
	return errors.Join(err, os.RemoveAll(filepath.Dir(i.Home)))
}

// Peer tells whether another engine stands in for the instance.
func (i *Instance) Peer() bool { return i.peer != "" }

// Socket is the API socket.
func (i *Instance) Socket() string {
	if i.peer != "" {
		return i.peer
	}
	return filepath.Join(i.Home, "run", "arca.sock")
}

// Client is an HTTP client of the API; any host name works in its URLs.
func (i *Instance) Client() *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", i.Socket())
		}}}
}
