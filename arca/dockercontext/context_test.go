package dockercontext

import (
	"os/exec"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	config := t.TempDir()
	if host, err := Host(config, "arca"); err != nil || host != "" {
		t.Errorf("an absent context: %q, %v", host, err)
	}
	for _, host := range []string{"unix:///one/run/arca.sock", "unix:///two/run/arca.sock"} {
		if err := Write(config, "arca", host); err != nil {
			t.Fatal(err)
		}
		if got, err := Host(config, "arca"); err != nil || got != host {
			t.Errorf("Host = %q, %v; want %q", got, err, host)
		}
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("the docker CLI is not installed")
	}
	cmd := exec.CommandContext(t.Context(), docker, "--config", config, "context", "inspect", "arca", "--format", "{{.Endpoints.docker.Host}}")
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "unix:///two/run/arca.sock" {
		t.Errorf("docker reads it as %q, %v", out, err)
	}
}
