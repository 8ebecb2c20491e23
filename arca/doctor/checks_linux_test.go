package doctor

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRelease(t *testing.T) {
	for release, want := range map[string][2]int{"6.1.0-37-amd64": {6, 1}, "5.12": {5, 12}, "6.18.44-fc": {6, 18}, "5.9-rc1": {5, 9}} {
		if major, minor, ok := parseRelease(release); !ok || major != want[0] || minor != want[1] {
			t.Errorf("parseRelease(%q) = %d, %d, %v", release, major, minor, ok)
		}
	}
	for _, release := range []string{"", "6", "x.y"} {
		if _, _, ok := parseRelease(release); ok {
			t.Errorf("parseRelease(%q) is taken for a version", release)
		}
	}
}

func TestCgroups(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
		ok    bool
	}{
		{"v2", map[string]string{"cgroup.controllers": "cpu memory pids\n"}, "version 2", true},
		{"v2 without memory", map[string]string{"cgroup.controllers": "cpu pids\n"}, "memory", false},
		{"v1", map[string]string{"memory/x": "", "pids/x": "", "cpu,cpuacct/x": "", "devices/x": "", "freezer/x": ""}, "version 1", true},
		{"v1 without devices", map[string]string{"memory/x": "", "pids/x": "", "cpu/x": "", "freezer/x": ""}, "devices", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tc.files {
				path := filepath.Join(root, "sys/fs/cgroup", name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if f := cgroups(root); f.OK != tc.ok || !strings.Contains(f.Text, tc.want) {
				t.Errorf("%+v, want %q", f, tc.want)
			}
		})
	}
}

func TestRunCountsWhatIsWrong(t *testing.T) {
	var out bytes.Buffer
	wrong, err := Run(t.Context(), &out, []Check{
		{"a", func(context.Context) Finding { return good("fine") }},
		{"b", func(context.Context) Finding { return bad("broken: mend it") }},
		{"c", func(context.Context) Finding { return warn("thin") }},
	})
	if err != nil || wrong != 1 || !strings.Contains(out.String(), "WRONG  b                broken: mend it") {
		t.Errorf("%d, %v\n%s", wrong, err, out.String())
	}
}
