package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

const patience = time.Minute

// run starts a container that ends with the test.
func run(t *testing.T, image string, options ...testcontainers.ContainerCustomizer) *testcontainers.DockerContainer {
	t.Helper()
	// Shells that are PID 1 do not hear SIGTERM.
	options = append(options, testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.Init = new(true) }))
	c, err := testcontainers.Run(t.Context(), image, options...)
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get asks for a page.
func get(ctx context.Context, t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %q %v", url, resp.Status, b, err)
	}
	return string(b)
}

func TestNginx(t *testing.T) {
	t.Parallel()
	c := run(t, "nginx", testcontainers.WithExposedPorts("80/tcp"), testcontainers.WithWaitStrategy(wait.ForHTTP("/").WithPort("80/tcp").WithStartupTimeout(patience)),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: strings.NewReader("from the test\n"), ContainerFilePath: "/usr/share/nginx/html/given.txt", FileMode: 0o644}))
	endpoint, err := c.PortEndpoint(t.Context(), "80/tcp", "http")
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t.Context(), t, endpoint+"/"); !strings.Contains(got, "Welcome to nginx!") {
		t.Errorf("nginx says %q", got)
	}
	if got := get(t.Context(), t, endpoint+"/given.txt"); got != "from the test\n" {
		t.Errorf("the copied file is %q", got)
	}
	ports, err := c.Ports(t.Context())
	if err != nil || len(ports) == 0 {
		t.Errorf("ports %v, %v", ports, err)
	}
	address, err := c.ContainerIP(t.Context())
	if err != nil || net.ParseIP(address) == nil {
		t.Errorf("address %q, %v", address, err)
	}
}

func TestRedisWaitsForPortAndLog(t *testing.T) {
	t.Parallel()
	c := run(t, "redis", testcontainers.WithExposedPorts("6379/tcp"), testcontainers.WithWaitStrategyAndDeadline(patience,
		wait.ForAll(wait.ForLog("Ready to accept connections"), wait.ForListeningPort("6379/tcp"), wait.ForExec([]string{"redis-cli", "ping"}))))
	endpoint, err := c.Endpoint(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "SET hare 3\r\nGET hare\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for _, want := range []string{"+OK\r\n", "$1\r\n", "3\r\n"} {
		if got, err := r.ReadString('\n'); got != want || err != nil {
			t.Fatalf("redis answers %q, %v, want %q", got, err, want)
		}
	}
}

func TestNetworkWithAliases(t *testing.T) {
	t.Parallel()
	n, err := network.New(t.Context(), network.WithAttachable(), network.WithLabels(map[string]string{"of": "the test"}))
	testcontainers.CleanupNetwork(t, n)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "redis", network.WithNetwork([]string{"store", "cache"}, n), testcontainers.WithWaitStrategy(wait.ForLog("Ready to accept connections").WithStartupTimeout(patience)))
	web := run(t, "counter", network.WithNetwork([]string{"web"}, n), testcontainers.WithEnv(map[string]string{"REDIS": "store:6379"}), testcontainers.WithExposedPorts("8080/tcp"),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/health").WithPort("8080/tcp").WithStartupTimeout(patience)))
	endpoint, err := web.PortEndpoint(t.Context(), "8080/tcp", "http")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if got := get(t.Context(), t, endpoint+"/"); !strings.HasPrefix(got, fmt.Sprintf("visit %d on ", i+1)) {
			t.Errorf("visit %d: %q", i+1, got)
		}
	}
	names, err := web.Networks(t.Context())
	if err != nil || len(names) != 1 || names[0] != n.Name {
		t.Errorf("networks %v, %v", names, err)
	}
	aliases, err := web.NetworkAliases(t.Context())
	if err != nil || !strings.Contains(strings.Join(aliases[n.Name], " "), "web") {
		t.Errorf("aliases %v, %v", aliases, err)
	}
	if store, cache := get(t.Context(), t, endpoint+"/resolve?name=store"), get(t.Context(), t, endpoint+"/resolve?name=cache"); store != cache || store == "" {
		t.Errorf("store is %q, cache is %q", store, cache)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	c := run(t, "busybox", testcontainers.WithCmd("sleep", "3600"))
	code, out, err := c.Exec(t.Context(), []string{"sh", "-c", "echo out; echo err >&2; pwd; echo $V; exit 4"}, exec.Multiplexed(), exec.WithWorkingDir("/tmp"), exec.WithEnv([]string{"V=value"}))
	if err != nil || code != 4 {
		t.Fatalf("code %d, %v", code, err)
	}
	b, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"out\n", "err\n", "/tmp\n", "value\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("exec says %q, want %q in it", b, want)
		}
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	c := run(t, "busybox", testcontainers.WithCmd("sleep", "3600"))
	if err := c.CopyToContainer(t.Context(), []byte("content"), "/tmp/file", 0o640); err != nil {
		t.Fatal(err)
	}
	r, err := c.CopyFileFromContainer(t.Context(), "/tmp/file")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(b) != "content" {
		t.Errorf("back came %q, %v", b, err)
	}
	dir := filepath.Join(t.TempDir(), "tree")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.WriteFile(filepath.Join(dir, "sub", "leaf"), []byte("leaf"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := c.CopyDirToContainer(t.Context(), dir, "/tmp/tree", 0o700); err != nil {
		t.Fatal(err)
	}
	code, out, err := c.Exec(t.Context(), []string{"cat", "/tmp/tree/sub/leaf"}, exec.Multiplexed())
	if err != nil || code != 0 {
		t.Fatalf("code %d, %v", code, err)
	}
	if b, err := io.ReadAll(out); err != nil || string(b) != "leaf" {
		t.Errorf("the copied leaf is %q, %v", b, err)
	}
}

// consumer hands log lines on.
type consumer chan string

// Accept takes a line.
func (c consumer) Accept(l testcontainers.Log) {
	c <- l.LogType + " " + strings.TrimSpace(string(l.Content))
}

func TestLogs(t *testing.T) {
	t.Parallel()
	lines := make(consumer, 64)
	c := run(t, "busybox", testcontainers.WithCmd("sh", "-c", "echo to out; echo to err >&2; exec sleep 3600"), testcontainers.WithLogConsumers(lines),
		testcontainers.WithWaitStrategy(wait.ForLog("to err").WithStartupTimeout(patience)))
	want := map[string]bool{"STDOUT to out": true, "STDERR to err": true}
	late := time.NewTimer(patience)
	defer late.Stop()
	for len(want) > 0 {
		select {
		case l := <-lines:
			delete(want, l)
		case <-late.C:
			t.Fatalf("no line says %v", want)
		}
	}
	r, err := c.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !strings.Contains(string(b), "to out") || !strings.Contains(string(b), "to err") {
		t.Errorf("the logs are %q, %v", b, err)
	}
}

func TestStopStartAndState(t *testing.T) {
	t.Parallel()
	c := run(t, "redis", testcontainers.WithExposedPorts("6379/tcp"), testcontainers.WithWaitStrategy(wait.ForListeningPort("6379/tcp").WithStartupTimeout(patience)))
	timeout := 10 * time.Second
	if err := c.Stop(t.Context(), &timeout); err != nil {
		t.Fatal(err)
	}
	if s, err := c.State(t.Context()); err != nil || s.Running || s.ExitCode != 0 {
		t.Errorf("stopped: %+v, %v", s, err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := c.State(t.Context()); err != nil || !s.Running {
		t.Errorf("started again: %+v, %v", s, err)
	}
	if _, err := c.MappedPort(t.Context(), "6379/tcp"); err != nil {
		t.Error(err)
	}
}

func TestExitAndMissingImage(t *testing.T) {
	t.Parallel()
	run(t, "busybox", testcontainers.WithCmd("sh", "-c", "exit 0"), testcontainers.WithWaitStrategy(wait.ForExit().WithExitTimeout(patience)))
	if _, err := testcontainers.Run(t.Context(), "nobody.invalid/nothing:none"); err == nil {
		t.Error("an image that is not there was run")
	}
}
