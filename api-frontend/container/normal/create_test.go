package normal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/container/record"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// fakeWorld is an Environment with two containers and every feature.
func fakeWorld() *Environment {
	n := 0
	others := map[string]*record.Container{
		"web": {ID: strings.Repeat("a", 64), Name: "web", HostConfig: &container.HostConfig{IpcMode: "shareable"}, Mounts: []record.MountPoint{
			{Type: mount.TypeVolume, Name: "data", Driver: "local", Destination: "/data", RW: true, CopyUp: true},
			{Type: mount.TypeBind, Source: "/srv", Destination: "/srv", Propagation: mount.PropagationRPrivate},
		}},
		"db": {ID: strings.Repeat("b", 64), Name: "db", HostConfig: &container.HostConfig{IpcMode: "private"}},
	}
	return &Environment{
		Features: &vmhelperv1.Features{HotDisk: true, HotShare: true, HostNetwork: true, HostPid: true, HostIpc: true, HostUts: true, HostDevices: true},
		Kernel:   FullKernel(1, 2),
		Container: func(name string) (*record.Container, error) {
			for _, c := range others {
				if c.Name == name || c.ID == name {
					return c, nil
				}
			}
			return nil, notFound(name)
		},
		BindSource:   func(path string) (bool, error) { return path != "/missing", nil },
		VolumeSource: func(name string) string { return "/volumes/" + name + "/_data" },
		NewID:        func() string { n++; return fmt.Sprintf("%064x", n) },
		Hostname:     "machine",
		Now:          time.Unix(1700000000, 0),
	}
}

func busybox() ImageDefaults {
	c := &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{
		Cmd: []string{"sh"}, Env: []string{"PATH=/bin", "A=image"}, Volumes: map[string]struct{}{"/data": {}},
		Labels: map[string]string{"from": "image"}, ExposedPorts: map[string]struct{}{"80/tcp": {}, "junk": {}},
	}}
	return ImageDefaults{ID: "sha256:" + strings.Repeat("c", 64), Layers: []string{"l1", "l2"}, Config: c,
		Platform: record.Platform{OS: "linux", Architecture: "amd64"}}
}

func create(t *testing.T, env *Environment, body, version string) (*record.Container, []string, error) {
	t.Helper()
	var req Request
	if err := json.Unmarshal([]byte(body), &req); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	return Create(&req, busybox(), env, version, "n1")
}

func TestCreateSentences(t *testing.T) {
	tests := []struct{ body, want string }{
		{`{}`, "config cannot be empty in order to create a container"},
		{`{"HostConfig":{}}`, "config cannot be empty in order to create a container"},
		{`{"Image":"i","Cmd":[],"Entrypoint":[""],"HostConfig":{}}`, "no command specified"},
		{`{"Image":"i","Cmd":"one","Entrypoint":"two","HostConfig":{}}`, ""},
		{`{"Image":"i","WorkingDir":"a"}`, "the working directory 'a' is invalid, it needs to be an absolute path"},
		{`{"Image":"i","Env":["=x"]}`, "invalid environment variable: =x"},
		{`{"Image":"i","StopSignal":"SIGNOPE"}`, "invalid signal: SIGNOPE"},
		{`{"Image":"i","Hostname":"a\nb"}`, "invalid hostname format: a\nb"},
		{`{"Image":"i","Healthcheck":{"Interval":3}}`, "Interval in Healthcheck cannot be less than 1ms"},
		{`{"Image":"i","Healthcheck":{"Retries":-1}}`, "Retries in Healthcheck cannot be negative"},
		{`{"Image":"i","HostConfig":{"Memory":1024}}`, "Minimum memory limit allowed is 6MB"},
		{`{"Image":"i","HostConfig":{"Memory":8388608,"MemorySwap":7000000}}`, "Minimum memoryswap limit should be larger than memory limit, see usage"},
		{`{"Image":"i","HostConfig":{"MemorySwap":7000000}}`, "You should always set the Memory limit when using Memoryswap limit, see usage"},
		{`{"Image":"i","HostConfig":{"NanoCpus":3000000000}}`, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"},
		{`{"Image":"i","HostConfig":{"CpusetCpus":"0-5"}}`, "Requested CPUs are not available - requested 0-5, available: 0-1"},
		{`{"Image":"i","HostConfig":{"CpusetCpus":"x"}}`, "Invalid value x for cpuset cpus: invalid format: x"},
		{`{"Image":"i","HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}`, "can't create 'AutoRemove' container with restart policy"},
		{`{"Image":"i","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}`, "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"},
		{`{"Image":"i","HostConfig":{"CapAdd":["foo"]}}`, `invalid CapAdd: unknown capability: "CAP_FOO"`},
		{`{"Image":"i","HostConfig":{"SecurityOpt":["foo"]}}`, `invalid --security-opt 1: "foo"`},
		{`{"Image":"i","HostConfig":{"SecurityOpt":["a=b"]}}`, `invalid --security-opt 2: "a=b"`},
		{`{"Image":"i","HostConfig":{"LogConfig":{"Type":"syslog"}}}`, "logger: no log driver named 'syslog' is registered"},
		{`{"Image":"i","HostConfig":{"LogConfig":{"Type":"json-file","Config":{"a":"b"}}}}`, "unknown log opt 'a' for json-file log driver"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"container:"}}`, "invalid network mode: invalid container format container:<name|id>"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"container:nobody"}}`, "No such container: nobody"},
		{`{"Image":"i","Hostname":"h","HostConfig":{"NetworkMode":"container:web"}}`, "conflicting options: hostname and the network mode"},
		{`{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":{"IPv4Address":"10.0.0.2"},"Aliases":["a"]}}}}`, "invalid config for network bridge: invalid endpoint settings:\n" +
			"user specified IP address is supported on user defined networks only\nnetwork-scoped alias is supported only for containers in user defined networks"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"mine"},"NetworkingConfig":{"EndpointsConfig":{"mine":{"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.eth0.log_martians=1"}}}}}`,
			"invalid config for network mine: invalid endpoint settings:\nunrecognised network interface sysctl 'net.ipv4.conf.eth0.log_martians=1'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"mine"},"NetworkingConfig":{"EndpointsConfig":{"mine":{},"host":{}}}}`, "container sharing network namespace with another container or host cannot be connected to any other network"},
		{`{"Image":"i","HostConfig":{"Links":["a:b:c"]}}`, "bad format for links: a:b:c"},
		{`{"Image":"i","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}`, `invalid port specification: "x"`},
		{`{"Image":"i","HostConfig":{"Binds":["/a:/b","/c:/b"]}}`, "Duplicate mount point: /b"},
		{`{"Image":"i","HostConfig":{"Binds":["/a:rw"]}}`, "invalid volume specification: '/a:rw'"},
		{`{"Image":"i","HostConfig":{"Binds":["/a:b"]}}`, `invalid volume specification: '/a:b': invalid mount config for type "bind": invalid mount path: 'b' mount path must be absolute`},
		{`{"Image":"i","HostConfig":{"Binds":["/a:/b:x"]}}`, "invalid mode: x"},
		{`{"Image":"i","HostConfig":{"Binds":["a:/b"]}}`, "create a: volume name is too short, names should be at least two alphanumeric characters"},
		{`{"Image":"i","HostConfig":{"Binds":["a/b:/b"]}}`, `create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Source":"/missing","Target":"/b"}]}}`, `invalid mount config for type "bind": bind source path does not exist: /missing`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Target":"/b"}]}}`, `invalid mount config for type "bind": field Source must not be empty`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"volume","Target":"/"}]}}`, `invalid mount config for type "volume": invalid specification: destination can't be '/'`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"npipe","Source":"x","Target":"/b"}]}}`, `invalid mount config for type "npipe": mount type unknown`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"volume","Source":"vv","Target":"/b","VolumeOptions":{"Subpath":"../x"}}]}}`, `invalid mount config for type "volume": subpath must be a relative path within the volume`},
		{`{"Image":"i","HostConfig":{"Tmpfs":{"/run":"foo"}}}`, `invalid tmpfs option ["foo"]`},
		{`{"Image":"i","HostConfig":{"ShmSize":-1}}`, "SHM size can not be less than 0"},
		{`{"Image":"i","HostConfig":{"Runtime":"kata"}}`, "unknown or invalid runtime name: kata"},
		{`{"Image":"i","HostConfig":{"OomScoreAdj":2000}}`, "Invalid value 2000, range for oom score adj is [-1000, 1000]"},
		{`{"Image":"i","HostConfig":{"Isolation":"hyperv"}}`, "invalid isolation (hyperv): linux only supports 'default'"},
		{`{"Image":"i","HostConfig":{"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]}}`, `could not select device driver "" with capabilities: [[gpu]]`},
		{`{"Image":"i","HostConfig":{"Ulimits":[{"Name":"nope"}]}}`, "invalid ulimit name nope"},
		{`{"Image":"i","HostConfig":{"Ulimits":[{"Name":"core","Soft":3,"Hard":2}]}}`, "ulimit soft limit must be less than or equal to hard limit: 3 > 2"},
		{`{"Image":"i","HostConfig":{"Ulimits":[null]}}`, "invalid ulimit: the name must not be empty"},
		{`{"Image":"i","HostConfig":{"Devices":[{"PathOnHost":"x"}]}}`, `invalid device mapping: "x" is not an absolute path`},
		{`{"Image":"i","HostConfig":{"Devices":[{"PathOnHost":"/x","CgroupPermissions":"rx"}]}}`, "invalid device mapping: bad mode specified: rx"},
		{`{"Image":"i","HostConfig":{"DeviceCgroupRules":["x"]}}`, "invalid device cgroup rule format: 'x'"},
		{`{"Image":"i","HostConfig":{"UsernsMode":"keep"}}`, "invalid user namespace mode: keep"},
		{`{"Image":"i","HostConfig":{"PidMode":"x"}}`, "invalid PID mode: x"},
		{`{"Image":"i","HostConfig":{"IpcMode":"container:"}}`, "invalid IPC mode: container:"},
		{`{"Image":"i","HostConfig":{"VolumesFrom":[""]}}`, "volumes-from specification cannot be an empty string"},
		{`{"Image":"i","HostConfig":{"VolumesFrom":["web:nocopy"]}}`, "invalid mode: nocopy"},
		{`{"Image":"i","HostConfig":{"VolumesFrom":["nobody"]}}`, "No such container: nobody"},
		{`{"Image":"i","HostConfig":{"VolumeDriver":"nfs","Binds":["vol:/v"]}}`, `error looking up volume plugin nfs: plugin "nfs" not found`},
		{`{"Image":"i","HostConfig":{"Sysctls":{"net.ipv4.conf.eth0.forwarding":"1"}}}`, `interface specific sysctl setting "net.ipv4.conf.eth0.forwarding" must be supplied using driver option 'com.docker.network.endpoint.sysctls'`},
		{`{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"bridge":null}}}`, "invalid config for network bridge: EndpointsConfig is nil"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"none"},"NetworkingConfig":{"EndpointsConfig":{"bridge":{}}}}`, "container cannot be connected to multiple networks with one of the networks in private (none) mode"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"mine":{}}}}`, "container sharing network namespace with another container or host cannot be connected to any other network"},
		{`{"Image":"i","HostConfig":{"LogConfig":{"Config":{"max-size":"x"}}}}`, "invalid value for max-size: x: invalid size: 'x'"},
		{`{"Image":"i","HostConfig":{"LogConfig":{"Config":{"mode":"x"}}}}`, "logger: logging mode not supported: x"},
		{`{"Image":"i","HostConfig":{"LogConfig":{"Config":{"max-buffer-size":"1m"}}}}`, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"},
		{`{"Image":"i","Cmd":["a\u0000b"]}`, "invalid Cmd: a string contains nul byte"},
		{`{"Image":"i","HostConfig":{"Annotations":{"":"x"}}}`, "invalid Annotations: the empty string is not permitted as an annotation key"},
		{`{"Image":"i","HostConfig":{"ExtraHosts":["a"]}}`, `bad format for add-host: "a"`},
		{`{"Image":"i","HostConfig":{"ExtraHosts":["a:b"]}}`, `invalid IP address in add-host: "b"`},
	}
	for _, tc := range tests {
		_, _, err := create(t, fakeWorld(), tc.body, "1.51")
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.body, err)
			}
			continue
		}
		if err == nil || err.Error() != tc.want || !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s:\n got %v\nwant %s", tc.body, err, tc.want)
		}
	}
}

func TestEndpointsOfACreate(t *testing.T) {
	for body, want := range map[string]string{
		`{"Image":"i"}`: "bridge",
		`{"Image":"i","HostConfig":{"NetworkMode":"mine"}}`:                                            "mine",
		`{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"mine":{}}}}`:                             "mine",
		`{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"default":{},"mine":{"Aliases":["a"]}}}}`: "bridge mine",
		`{"Image":"i","NetworkDisabled":true}`:                                                         "bridge",
		`{"Image":"i","HostConfig":{"NetworkMode":"host"}}`:                                            "host",
	} {
		var req Request
		if err := json.Unmarshal([]byte(body), &req); err != nil {
			t.Fatal(err)
		}
		c, _, err := Create(&req, busybox(), fakeWorld(), "1.51", "nn")
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := strings.Join(sortedKeys(c.Networking), " "); got != want {
			t.Errorf("%s: endpoints in %q, want %q", body, got, want)
		}
	}
}
