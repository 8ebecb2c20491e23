package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// engine is one of the two that are measured.
type engine struct {
	name   string
	dir    string // that every command line of its daemons names.
	socket string
	pids   func() []int // of the daemon that holds the state and serves the API.
	http   *http.Client
}

func newEngine(name, dir, socket string, pids func() []int) *engine {
	var d net.Dialer
	return &engine{name: name, dir: dir, socket: socket, pids: pids, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) }}}}
}

func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_HOST=unix://" + e.socket, "DOCKER_CLI_HINTS=false"}
	return cmd
}

// docker runs the CLI and fails with what it said.
func (e *engine) docker(ctx context.Context, args ...string) (string, error) {
	cmd := e.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: docker %s: %w: %s", e.name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// firstPull waits for the registry, which starts beside dockerd.
func (e *engine) firstPull(ctx context.Context) error {
	var err error
	for range 40 {
		if _, err = e.docker(ctx, "pull", "-q", "busybox"); err == nil {
			return nil
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			break
		}
	}
	return err
}

// call sends one request and reads the answer whole.
func (e *engine) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s %s: %d %s", e.name, method, path, resp.StatusCode, b)
	}
	return b, nil
}
