package logs

import (
	"testing"

	"github.com/containerd/errdefs"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		driver string
		opts   map[string]string
		want   string
	}{
		{"json-file", nil, ""},
		{"local", nil, ""},
		{"none", map[string]string{"any": "thing"}, ""},
		{"json-file", map[string]string{"max-size": "10m", "max-file": "3", "compress": "true", "labels": "a", "labels-regex": "^a", "env": "B", "env-regex": "C", "tag": "{{.ID}}", "mode": "non-blocking", "max-buffer-size": "4m"}, ""},
		{"local", map[string]string{"max-size": "10m", "max-file": "3", "compress": "false", "mode": "blocking"}, ""},
		{"syslog", nil, "logger: no log driver named 'syslog' is registered"},
		{"", nil, "logger: no log driver named '' is registered"},
		{"json-file", map[string]string{"x": "1"}, "unknown log opt 'x' for json-file log driver"},
		{"local", map[string]string{"x": "1"}, "unknown log opt 'x' for log driver local"},
		{"json-file", map[string]string{"mode": "fast"}, "logger: logging mode not supported: fast"},
		{"json-file", map[string]string{"max-buffer-size": "1m"}, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"},
		{"json-file", map[string]string{"mode": "non-blocking", "max-buffer-size": "x"}, "error parsing option max-buffer-size: invalid size: 'x'"},
		{"json-file", map[string]string{"max-size": "0"}, "max-size must be a positive number"},
		{"json-file", map[string]string{"max-size": "ten"}, "invalid size: 'ten'"},
		{"json-file", map[string]string{"max-file": "0"}, "max-file cannot be less than 1"},
		{"json-file", map[string]string{"max-file": "x"}, `strconv.Atoi: parsing "x": invalid syntax`},
		{"json-file", map[string]string{"compress": "maybe"}, `strconv.ParseBool: parsing "maybe": invalid syntax`},
		{"json-file", map[string]string{"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"},
		{"json-file", map[string]string{"compress": "true", "max-size": "1k", "max-file": "1"}, "compress cannot be true when max-file is less than 2 or max-size is not set"},
		{"json-file", map[string]string{"env-regex": "("}, "error parsing regexp: missing closing ): `(`"},
		{"json-file", map[string]string{"tag": "{{"}, "template: log-tag:1: unclosed action"},
		{"local", map[string]string{"max-size": "-1"}, "invalid value for max-size: -1: invalid size: '-1'"},
		{"local", map[string]string{"max-file": "-1"}, "max-file must not be negative"},
		{"local", map[string]string{"max-file": "1"}, "compression cannot be enabled when max file count is 1"},
		{"local", map[string]string{"max-file": "1001"}, "max-file cannot be more than 1000"},
		{"json-file", map[string]string{"max-file": "1001"}, "max-file cannot be more than 1000"},
		{"local", map[string]string{"compress": "x"}, `invalid boolean value for compress: strconv.ParseBool: parsing "x": invalid syntax`},
	} {
		err := Validate(tc.driver, tc.opts)
		switch {
		case err == nil && tc.want == "":
		case err == nil || err.Error() != tc.want:
			t.Errorf("%s %v: %v, want %s", tc.driver, tc.opts, err, tc.want)
		case !errdefs.IsInvalidArgument(err):
			t.Errorf("%v is not an invalid argument", err)
		}
	}
}

func TestTags(t *testing.T) {
	c := Config{
		ContainerID: zeroID, Name: "/web", ImageID: "sha256:0123456789", ImageName: "busybox:1", Entrypoint: "sh", Args: []string{"-c", "x"},
		Labels: map[string]string{"a": "b"},
	}
	for text, want := range map[string]string{
		"":                                 "",
		"{{.ID}} {{.FullID}}":              "0123456789ab " + zeroID,
		"{{.Name}}|{{.ImageName}}":         "web|busybox:1",
		"{{.ImageID}} {{.ImageFullID}}":    "sha256:01234 sha256:0123456789",
		"{{.Command}} {{.DaemonName}}":     "sh -c x docker",
		"{{json .ContainerLabels}}":        `{"a":"b"}`,
		`{{join .ContainerArgs "+"}}`:      "-c+x",
		`{{pad .Name 1 2}}.`:               " web  .",
		`{{truncate .Name 2 | upper}}`:     "WE",
		`{{index (split "a:b" ":") 1}}`:    "b",
		`{{title "ab"}}{{lower "AB"}}`:     "Abab",
		`{{printf "%.3s" .ContainerName}}`: "/we",
	} {
		c.Options = map[string]string{"tag": text}
		if got, err := tag(c); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	c.Options["tag"] = "{{.Nothing}}"
	if _, err := tag(c); err == nil {
		t.Error("an unknown field was taken")
	}
}
