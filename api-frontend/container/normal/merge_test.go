package normal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestCommandOfImageAndClient(t *testing.T) {
	img := func() *dockerspec.DockerOCIImageConfig {
		return &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{Entrypoint: []string{"entry"}, Cmd: []string{"cmd"}}}
	}
	for _, tc := range []struct {
		name            string
		entrypoint, cmd []string
		want            []string
	}{
		{"nothing said", nil, nil, []string{"entry", "cmd"}},
		{"a command keeps the entry point", nil, []string{"x"}, []string{"entry", "x"}},
		{"an entry point drops the image's command", []string{"x"}, nil, []string{"x"}},
		{"an empty entry point is none, the command stays", []string{}, nil, []string{"cmd"}},
		{"both", []string{"x"}, []string{"y"}, []string{"x", "y"}},
	} {
		c := &container.Config{Entrypoint: tc.entrypoint, Cmd: tc.cmd}
		merge(c, img())
		path, args := commandLine(c)
		if d := cmp.Diff(tc.want, append([]string{path}, args...)); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

func TestMerge(t *testing.T) {
	img := &dockerspec.DockerOCIImageConfig{
		ImageConfig: ocispec.ImageConfig{
			User: "img", Env: []string{"A=img", "B=img"}, WorkingDir: "/img", StopSignal: "SIGQUIT", Labels: map[string]string{"a": "img", "b": "img"},
			Volumes: map[string]struct{}{"/img": {}}, ExposedPorts: map[string]struct{}{"1/tcp": {}},
		},
		DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{
			Healthcheck: &container.HealthConfig{Test: []string{"CMD", "img"}, Interval: time.Second, Retries: 4}, Shell: []string{"sh"},
		},
	}
	c := &container.Config{Env: []string{"B=own", "C"}, Labels: map[string]string{"b": "own"}, Volumes: map[string]struct{}{"/own": {}},
		Healthcheck: &container.HealthConfig{Interval: 2 * time.Second}}
	merge(c, img)
	if d := cmp.Diff([]string{"B=own", "C", "A=img"}, c.Env); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"a": "img", "b": "own"}, c.Labels); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&container.HealthConfig{Test: []string{"CMD", "img"}, Interval: 2 * time.Second, Retries: 4}, c.Healthcheck); d != "" {
		t.Error(d)
	}
	if c.User != "img" || c.WorkingDir != "/img" || c.StopSignal != "SIGQUIT" || len(c.Volumes) != 2 || len(c.ExposedPorts) != 1 || c.Shell[0] != "sh" {
		t.Errorf("%+v", c)
	}
	if img.Healthcheck.Interval != time.Second || len(img.Volumes) != 1 || len(img.Env) != 2 {
		t.Error("the image was changed")
	}
	none := &container.Config{Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}}
	merge(none, img)
	if none.Healthcheck.Test[0] != "NONE" {
		t.Error("a health check cannot be switched off")
	}
}

func TestDecode(t *testing.T) {
	var r Request
	if err := r.UnmarshalJSON([]byte(`{"cmd":"one","Entrypoint":["a","b"],"HostConfig":{"memory":7,"KernelMemory":5,"Dns":["1.1.1.1"]}}`)); err != nil {
		t.Fatal(err)
	}
	if r.Cmd[0] != "one" || len(r.Entrypoint) != 2 || r.HostConfig.Memory != 7 || r.KernelMemory != 5 || len(r.HostConfig.DNS) != 1 {
		t.Errorf("%+v %+v", r.Config, r.HostConfig)
	}
	for _, bad := range []string{`{"Cmd":3}`, `{"HostConfig":{"Dns":["x"]}}`, `{"ExposedPorts":{"x":{}}}`, `[]`, `{"HostConfig":[]}`} {
		if err := new(Request).UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, odd := range []string{`{}`, `null`, `{"HostConfig":null,"NetworkingConfig":null}`, `{"HostConfig":{}}`} {
		var r Request
		if err := r.UnmarshalJSON([]byte(odd)); err != nil || r.Config != nil {
			t.Errorf("%s: %v %+v", odd, err, r.Config)
		}
	}
}
