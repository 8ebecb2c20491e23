//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

// call makes one request of API 1.51 and tells status and body.
func call(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://arca/v1.51"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := arca.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// TestAnswersMeetTheSpecification asks every route that answers with JSON about real objects.
func TestAnswersMeetTheSpecification(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "pull", "-q", "busybox").OK()
	volume := arca.Volume(t, "--label", "a=b")
	running := arca.Sleeper(t, "-v", volume+":/v", "-v", "/anonymous", "--tmpfs", "/t", "--mount", "type=tmpfs,dst=/t2,tmpfs-size=1m", "-m", "64m", "--cpus", "0.5",
		"--ulimit", "nofile=100:200", "--device", "/dev/null:/dev/other", "--label", "a=b", "-e", "A=b", "--health-cmd", "true", "--health-interval", "1s",
		"--add-host", "h:1.2.3.4", "--dns", "9.9.9.9", "--security-opt", "no-new-privileges", "--cap-add", "NET_ADMIN", "--restart", "on-failure:3", "--sysctl", "net.core.somaxconn=77")
	arca.WaitInspect(t, running, "{{.State.Health.Status}}", "healthy")
	tty := arca.Start(t, "-t", "--network", "host", "--privileged", "--init", "busybox", "sleep", "1000")
	exited := arca.Start(t, "busybox", "sh", "-c", "exit 3")
	arca.Docker(t, "wait", exited).OK().Out("3\n")
	created := arca.Container(t)
	arca.Docker(t, "create", "--name", created, "busybox").OK()
	failed := arca.Container(t)
	arca.Docker(t, "create", "--name", failed, "busybox", "no-such-program").OK()
	arca.Docker(t, "start", failed).Exit(1)

	_, answer := call(t, "POST", "/containers/"+running+"/exec", `{"Cmd":["sleep","1000"],"AttachStdout":true}`)
	var exec struct {
		ID string `json:"Id"`
	}
	if err := json.Unmarshal(answer, &exec); err != nil || exec.ID == "" {
		t.Fatalf("%s: %v", answer, err)
	}

	type request struct{ path, spec string }
	requests := []request{
		{"/version", "/version"}, {"/info", "/info"}, {"/system/df", "/system/df"},
		{"/images/json", "/images/json"}, {"/images/json?digests=1&shared-size=1&all=1", "/images/json"}, {"/images/busybox/json", "/images/{name}/json"},
		{"/images/busybox/history", "/images/{name}/history"}, {"/distribution/busybox/json", "/distribution/{name}/json"},
		{"/volumes", "/volumes"}, {"/volumes/" + volume, "/volumes/{name}"},
		{"/networks", "/networks"}, {"/networks/none", "/networks/{id}"}, {"/networks/bridge", "/networks/{id}"}, {"/networks/host", "/networks/{id}"},
		{"/plugins", "/plugins"}, {"/exec/" + exec.ID + "/json", "/exec/{id}/json"},
		{"/containers/json?all=1&size=1", "/containers/json"}, {"/containers/json", "/containers/json"},
		{"/containers/" + running + "/json?size=1", "/containers/{id}/json"},
		{"/containers/" + running + "/top", "/containers/{id}/top"}, {"/containers/" + running + "/changes", "/containers/{id}/changes"},
		{"/containers/" + running + "/stats?stream=0", "/containers/{id}/stats"}, {"/containers/" + exited + "/stats?stream=0", "/containers/{id}/stats"},
	}
	for _, name := range []string{running, tty, exited, created, failed} {
		requests = append(requests, request{"/containers/" + name + "/json", "/containers/{id}/json"})
	}
	for _, r := range requests {
		status, body := call(t, "GET", r.path, "")
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", r.path, status, body)
			continue
		}
		speccheck.Answer(t, "GET", r.spec, status, body)
	}
	for _, r := range []struct {
		path, spec, body string
		status           int
	}{
		{"/containers/" + exited + "/wait", "/containers/{id}/wait", "", 200},
		{"/containers/" + running + "/update", "/containers/{id}/update", `{"PidsLimit":99}`, 200},
		{"/containers/create", "/containers/create", `{"Image":"busybox","Labels":{"spec":"created"}}`, 201},
		{"/volumes/create", "/volumes/create", `{"Labels":{"spec":"created"}}`, 201},
		{"/containers/prune?filters=%7B%22label%22%3A%5B%22spec%3Dcreated%22%5D%7D", "/containers/prune", "", 200},
		{"/volumes/prune?filters=%7B%22label%22%3A%5B%22spec%3Dcreated%22%5D%7D", "/volumes/prune", "", 200},
		{"/images/prune?filters=%7B%22label%22%3A%5B%22no%3Dsuch%22%5D%7D", "/images/prune", "", 200},
		{"/networks/prune", "/networks/prune", "", 200},
		{"/build/prune", "/build/prune", "", 200},
		{"/containers/" + running + "/exec", "/containers/{id}/exec", `{"Cmd":["true"]}`, 201},
	} {
		status, body := call(t, "POST", r.path, r.body)
		if status != r.status {
			t.Errorf("%s: %d %s", r.path, status, body)
			continue
		}
		speccheck.Answer(t, "POST", r.spec, status, body)
	}
	status, body := call(t, "GET", fmt.Sprintf("/events?since=1&until=%d", time.Now().Unix()), "")
	if status != http.StatusOK || len(bytes.TrimSpace(body)) == 0 {
		t.Errorf("events: %d %s", status, body)
	}
	for line := range bytes.Lines(body) {
		// The text of these is what older clients read.
		speccheck.Definition(t, "EventMessage", line, speccheck.Ignore("status", "id", "from"))
	}
}
