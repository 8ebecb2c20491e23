package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// load parses flags and loads a file with the given text; text "-" is no file.
func load(t testing.TB, text string, args ...string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "daemon.json")
	if text != "-" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := config.Bind(set, path)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	c, err := flags.Load()
	if err != nil {
		return nil, &trimmed{strings.ReplaceAll(err.Error(), path, "FILE")}
	}
	return c, nil
}

type trimmed struct{ text string }

func (e *trimmed) Error() string { return e.text }

func TestDefaults(t *testing.T) {
	for _, text := range []string{"-", "", "{}", "\xef\xbb\xbf {}"} {
		c, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if c.LogDriver != "json-file" || c.ShmSize != 64<<20 || c.MaxConcurrentDownloads != 3 || c.ShutdownTimeout != 15 || c.LogLevel != "info" {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func TestFile(t *testing.T) {
	c, err := load(t, `{"registry-mirrors":["http://127.0.0.1:5000"],"insecure-registries":["10.0.0.0/8","reg:5000"],"log-driver":"local",
		"log-opts":{"max-size":"10m"},"log-level":"warn","debug":true,"labels":["b=2","a=1","a=1"],"default-shm-size":"128M",
		"default-ulimits":{"nofile":{"Name":"nofile","Hard":64,"Soft":32}},"init":true,"live-restore":true,"max-concurrent-downloads":7,
		"shutdown-timeout":3,"features":{"buildkit":true,"containerd-snapshotter":false},"hosts":["unix:///x"],"group":"g","dns":["1.1.1.1"],
		"dns-opts":["ndots:1"],"dns-search":["example.com"],"proxies":{"http-proxy":"http://p:1","no-proxy":"x"},"storage-driver":"overlay2",
		"exec-opts":["native.cgroupdriver=cgroupfs"],"default-runtime":"runc"}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{
		[]string{"http://127.0.0.1:5000/"}, []string{"10.0.0.0/8", "reg:5000"}, "local", map[string]string{"max-size": "10m"}, "warn", true,
		[]string{"a=1", "b=2"}, config.Bytes(128 << 20), "nofile=32:64", true, true, 7, 3, "http://p:1", "x", []string{"unix:///x"}, "g",
		[]string{"1.1.1.1"}, []string{"ndots:1"}, []string{"example.com"},
	}, []any{
		c.Mirrors, c.InsecureRegistries, c.LogDriver, c.LogOpts, c.LogLevel, c.Debug, c.Labels, c.ShmSize, c.Ulimits.List()[0].String(), c.Init,
		c.LiveRestore, c.MaxConcurrentDownloads, c.ShutdownTimeout, c.HTTPProxy, c.NoProxy, c.Hosts, c.Group, c.DNS, c.DNSOptions, c.DNSSearch,
	}); diff != "" {
		t.Error(diff)
	}
}

func TestFlags(t *testing.T) {
	c, err := load(t, `{"debug":true,"init":false}`, "--registry-mirror=https://a", "--registry-mirror", "https://b/", "--log-opt", "max-size=1m",
		"--log-opt=max-file=2", "--label", "x=y", "--default-ulimit", "nproc=5:6", "--default-shm-size", "1g", "-H", "unix:///a", "--dns", "::1",
		"--feature", "buildkit", "-l", "error")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{[]string{"https://a/", "https://b/"}, map[string]string{"max-size": "1m", "max-file": "2"}, []string{"x=y"},
		config.Bytes(1 << 30), "nproc=5:6", []string{"unix:///a"}, true, map[string]bool{"buildkit": true}, "error"},
		[]any{c.Mirrors, c.LogOpts, c.Labels, c.ShmSize, c.Ulimits.List()[0].String(), c.Hosts, c.Debug, c.Features, c.LogLevel}); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	const file = "unable to configure the Docker daemon with file FILE: "
	const merged = "merged configuration validation from file and command line flags failed: "
	tests := []struct {
		text string
		args []string
		want string
	}{
		{`{"zz":1,"aa":{}}`, nil, file + "the following directives don't match any configuration option: aa, zz"},
		{`{"debug":true,"labels":["a=1"]}`, []string{"-D", "--label", "b=2"},
			file + "the following directives are specified both as a flag and in the configuration file: debug: (from flag: true, from file: true), labels: (from flag: [b=2], from file: [a=1])"},
		{`{"http-proxy":"http://u:p@h"}`, []string{"--http-proxy", "http://v:q@h"},
			file + "the following directives are specified both as a flag and in the configuration file: http-proxy: (from flag: http://xxxxx:xxxxx@h, from file: http://xxxxx:xxxxx@h)"},
		{`{"data-root":"/x"}`, nil, file + "the directive data-root is not supported: an instance's directory is given by --home"},
		{`{"iptables":true}`, nil, file + "the directive iptables is not supported: the engine writes no host network rules"},
		{"-", []string{"--iptables", "x"}, `invalid argument "true" for "--iptables" flag: the directive iptables is not supported: the engine writes no host network rules`},
		{`{"bip":"10.0.0.1"}`, nil, merged + "parse bip failed: invalid CIDR address: 10.0.0.1"},
		{`{"bip6":"10.0.0.1/8"}`, nil, merged + "parse bip6 failed: invalid CIDR address: 10.0.0.1/8"},
		{`{"bip":"10.0.0.1/24","fixed-cidr":"10.0.1.0/25"}`, nil, merged + "fixed-cidr=10.0.1.0/25 is outside of the subnet of bip=10.0.0.1/24"},
		{`{"ip":"host"}`, nil, merged + `invalid ip: "host" is not an address`},
		{`{"mtu":70000}`, nil, merged + "invalid default MTU: 70000"},
		{`{"default-address-pools":[{"base":"10.0.0.0/8","size":4}]}`, nil,
			file + "invalid value for directive default-address-pools: the size of the pool 10.0.0.0/8 is 4, not one of 8 to 32"},
		{"-", []string{"--default-address-pool", "base=x,size=24"},
			`invalid argument "base=x,size=24" for "--default-address-pool" flag: invalid base prefix "x": netip.ParsePrefix("x"): no '/'`},
		{"-", []string{"--default-network-opt", "bridge"},
			`invalid argument "bridge" for "--default-network-opt" flag: invalid key value pair format: "bridge" is not driver=key=value`},
		{`{"debug":"yes"}`, nil, file + "invalid value for directive debug: json: cannot unmarshal string into Go value of type bool"},
		{`{"debug":`, nil, file + "unexpected end of JSON input"},
		{`[]`, nil, file + "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
		{`{"default-shm-size":"x"}`, nil, file + "invalid value for directive default-shm-size: invalid size: 'x'"},
		{`{"log-level":"loud"}`, nil, merged + "invalid logging level: loud"},
		{`{"log-driver":"syslog"}`, nil, merged + "logger: no log driver named 'syslog' is registered"},
		{`{"labels":["a"]}`, nil, merged + "bad attribute format: a"},
		{`{"labels":["a=1","a=2"]}`, nil, merged + "conflict labels for a=2 and a=1"},
		{`{"max-concurrent-downloads":-1}`, nil, merged + "invalid max concurrent downloads: -1"},
		{`{"registry-mirrors":["ftp://x"]}`, nil, merged + `invalid mirror: unsupported scheme "ftp" in "ftp://x": must use either 'https://' or 'http://'`},
		{`{"registry-mirrors":["http://u:p@x"]}`, nil, merged + `invalid mirror: username/password not allowed in URI "http://xxxxx:xxxxx@x"`},
		{`{"registry-mirrors":["http://x/?q"]}`, nil, merged + `invalid mirror: query or fragment at end of the URI "http://x/?q"`},
		{`{"insecure-registries":["http://x"]}`, nil, merged + "insecure registry http://x should not contain '://'"},
		{`{"dns":["x"]}`, nil, merged + `IP address is not correctly formatted: "x"`},
		{`{"dns-search":["a b"]}`, nil, merged + "a b is not a valid domain"},
		{`{"hosts":["tcp://0.0.0.0:2375"]}`, nil, merged + "invalid bind address (tcp://0.0.0.0:2375): TCP is served only with TLS client certificates (tlsverify)"},
		{`{"hosts":["fd://"]}`, nil, merged + "invalid bind address (fd://): it must be unix://PATH or tcp://ADDRESS:PORT"},
		{`{"default-runtime":"kata"}`, nil, merged + `the directive default-runtime is not supported: runc is the only value, not "kata"`},
		{`{"exec-opts":["native.cgroupdriver=systemd"]}`, nil, merged + "invalid exec-opt (native.cgroupdriver=systemd): the cgroup driver is cgroupfs"},
		{`{"features":{"containerd-snapshotter":true}}`, nil, merged + "the directive features is not supported: containerd-snapshotter cannot be turned on"},
		{`{"default-ipc-mode":"host"}`, nil, merged + `IPC mode "host" is not supported as default value for new containers`},
		{`{"default-ulimits":{"nofile":null}}`, nil, merged + "invalid default ulimit: nofile must have the name nofile"},
		{"-", []string{"--config-file", "/nonexistent/x"}, "unable to configure the Docker daemon with file /nonexistent/x: open /nonexistent/x: no such file or directory"},
	}
	for _, tt := range tests {
		_, err := load(t, tt.text, tt.args...)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s %v:\n got %v\nwant %s", tt.text, tt.args, err, tt.want)
		}
	}
}

func TestLoadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := config.Bind(set, path)
	if err := set.Parse([]string{"--log-opt", "a=1"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"x=1", "x=2"} {
		if err := os.WriteFile(path, []byte(`{"labels":["`+want+`"]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := flags.Load()
		if err != nil || len(c.Labels) != 1 || c.Labels[0] != want || c.LogOpts["a"] != "1" {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add(`{"debug":true,"proxies":{"http-proxy":"x"},"default-ulimits":{"a":{"Name":"a"}}}`)
	path := filepath.Join(f.TempDir(), "daemon.json")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set := pflag.NewFlagSet("test", pflag.ContinueOnError)
		flags := config.Bind(set, path)
		if c, err := flags.Load(); err == nil {
			c.Ulimits.List()
		}
	})
}
