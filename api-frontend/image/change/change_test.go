package change

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func image(c ocispec.ImageConfig) Config { return Config{ImageConfig: c} }

func TestApply(t *testing.T) {
	with := func(f func(c *Config)) Config {
		var c Config
		f(&c)
		return c
	}
	for _, c := range []struct {
		changes []string
		want    Config
	}{
		{nil, Config{}},
		{[]string{`CMD ["a", "b c"]`}, image(ocispec.ImageConfig{Cmd: []string{"a", "b c"}})},
		{[]string{`cmd a  b`}, image(ocispec.ImageConfig{Cmd: []string{"/bin/sh", "-c", "a  b"}})},
		{[]string{`CMD x`, `ENTRYPOINT ["e"]`}, image(ocispec.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"/bin/sh", "-c", "x"}})},
		{[]string{`ENV A=1 B="two words" C=$A/${B:-x}`}, image(ocispec.ImageConfig{Env: []string{"A=1", "B=two words", "C=/x"}})},
		{[]string{`ENV A 1 2`, `ENV A=3`, `ENV B=$A\$'$A'`}, image(ocispec.ImageConfig{Env: []string{"A=3", "B=3$$A"}})},
		{[]string{"LABEL a=1 \\\n  b='x y'\n# comment\n\nUSER $NONE:1000"}, image(ocispec.ImageConfig{User: ":1000", Labels: map[string]string{"a": "1", "b": "x y"}})},
		{[]string{`EXPOSE 80 53/udp 90-91/TCP`}, image(ocispec.ImageConfig{ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}, "90/tcp": {}, "91/tcp": {}}})},
		{[]string{`VOLUME /a /b`, `VOLUME ["/c d"]`}, image(ocispec.ImageConfig{Volumes: map[string]struct{}{"/a": {}, "/b": {}, "/c d": {}}})},
		{[]string{`WORKDIR a`, `WORKDIR b/../c`}, image(ocispec.ImageConfig{WorkingDir: "/a/c"})},
		{[]string{`STOPSIGNAL SIGQUIT`}, image(ocispec.ImageConfig{StopSignal: "SIGQUIT"})},
		{[]string{`ONBUILD RUN x`}, with(func(c *Config) { c.OnBuild = []string{"RUN x"} })},
		{[]string{`HEALTHCHECK NONE`}, with(func(c *Config) { c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"NONE"}} })},
		{[]string{`HEALTHCHECK --interval=5s --retries=2 CMD x y`}, with(func(c *Config) {
			c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"CMD-SHELL", "x y"}, Interval: 5 * time.Second, Retries: 2}
		})},
		{[]string{`HEALTHCHECK CMD ["x"]`}, with(func(c *Config) { c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"CMD", "x"}} })},
	} {
		var got Config
		if err := Apply(&got, c.changes); err != nil {
			t.Errorf("%q: %v", c.changes, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: %s", c.changes, diff)
		}
	}
}

// TestEntrypointDropsTheCommandThatItFinds as the builder does.
func TestEntrypointDropsTheCommandThatItFinds(t *testing.T) {
	c := image(ocispec.ImageConfig{Cmd: []string{"old"}})
	if err := Apply(&c, []string{`ENTRYPOINT ["e"]`}); err != nil || c.Cmd != nil {
		t.Errorf("%v: %q", err, c.Cmd)
	}
}

func TestRefused(t *testing.T) {
	for change, want := range map[string]string{
		"RUN x":                          "run is not a valid change command",
		"FROM x":                         "from is not a valid change command",
		"ENV":                            "ENV requires at least one argument",
		"ENV A":                          "ENV must have two arguments",
		"ENV A=1 B":                      `Syntax error - can't find = in "B". Must be of the form: name=value`,
		"ENV =1":                         "ENV names can not be blank",
		`ENV A="1`:                       "unexpected end of statement while looking for matching double-quote",
		"ENV A='1":                       "unexpected end of statement while looking for matching single-quote",
		"ENV A=${B":                      "syntax error: missing right curly bracket",
		"ENV A=${}":                      "syntax error: bad substitution",
		"ENV A=${B@}":                    "unsupported modifier (@) in substitution",
		"EXPOSE x":                       "invalid containerPort: x",
		"EXPOSE 9-8":                     "invalid containerPort: 9-8",
		"EXPOSE 8/icmp":                  "invalid proto: icmp",
		`VOLUME [""]`:                    "VOLUME specified can not be an empty string",
		"STOPSIGNAL NOPE":                "invalid signal: NOPE",
		"HEALTHCHECK NONE x":             "HEALTHCHECK NONE takes no arguments",
		"HEALTHCHECK CMD":                "Missing command after HEALTHCHECK CMD",
		"HEALTHCHECK X y":                `Unknown type "X" in HEALTHCHECK (try CMD)`,
		"HEALTHCHECK --interval=1ns CMD": `Interval "interval" cannot be less than 1ms`,
		"HEALTHCHECK --nope=1 CMD x":     "unknown flag: --nope",
		"ONBUILD ONBUILD RUN x":          "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
		"ONBUILD FROM x":                 "FROM isn't allowed as an ONBUILD trigger",
	} {
		if err := Apply(&Config{}, []string{change}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", change, err, want)
		}
	}
}

func TestFill(t *testing.T) {
	below := image(ocispec.ImageConfig{User: "u", Env: []string{"A=1", "B=2"}, Cmd: []string{"c"}, Entrypoint: []string{"e"}, Labels: map[string]string{"l": "1", "m": "1"}})
	c := image(ocispec.ImageConfig{Env: []string{"A=0"}, Cmd: []string{"own"}, Labels: map[string]string{"l": "0"}})
	Fill(&c, &below)
	want := image(ocispec.ImageConfig{User: "u", Env: []string{"A=0", "B=2"}, Cmd: []string{"own"}, Entrypoint: []string{"e"}, Labels: map[string]string{"l": "0", "m": "1"}})
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func FuzzApply(f *testing.F) {
	for _, s := range []string{`ENV A=1 B="$A"`, `EXPOSE 1-65535/udp`, `HEALTHCHECK --interval=1s CMD x`, "LABEL a=\\\n b", `VOLUME ["/a"]`, `WORKDIR ${A:-b}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := image(ocispec.ImageConfig{Env: []string{"A=1"}, Cmd: []string{"x"}})
		if err := Apply(&c, []string{s}); err == nil && c.WorkingDir != "" && c.WorkingDir[0] != '/' {
			t.Errorf("%q makes the directory %q", s, c.WorkingDir)
		}
	})
}
