package normal

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// everything sets about all that can be honoured.
const everything = `{"Image":"i","Hostname":"h","Domainname":"d.example","User":"1000:50","AttachStdin":true,"AttachStdout":true,
"AttachStderr":true,"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A=own","B","C=1"],"Cmd":["-c","true"],"Entrypoint":"sh",
"Healthcheck":{"Test":["CMD","true"],"Interval":1000000000},"WorkingDir":"/a/../b","Labels":{"own":"1"},"StopSignal":"SIGINT",
"StopTimeout":3,"Volumes":{"/anon":{}},"ExposedPorts":{"53/udp":{}},"HostConfig":{
"Binds":["/src:/dst:ro,rslave","named:/named:nocopy","/same"],"LogConfig":{"Type":"local","Config":{"max-size":"1m"}},"NetworkMode":"none",
"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},"VolumesFrom":["web:ro"],"ConsoleSize":[40,120],"Annotations":{"k":"v"},
"CapAdd":["net_admin"],"CapDrop":["CAP_MKNOD"],"CgroupnsMode":"private","Dns":["9.9.9.9"],"DnsOptions":["ndots:1"],"DnsSearch":["x.example"],
"ExtraHosts":["a:1.2.3.4","b:host-gateway"],"GroupAdd":["audio","7"],"IpcMode":"shareable","OomScoreAdj":100,"ReadonlyRootfs":true,
"SecurityOpt":["no-new-privileges","seccomp=unconfined","apparmor=p"],"Tmpfs":{"/run":"size=64k,exec"},"ShmSize":1048576,
"Sysctls":{"net.core.somaxconn":"7"},"Runtime":"runc","Isolation":"default","MaskedPaths":["/proc/kcore"],"ReadonlyPaths":[],"Init":true,
"CpuShares":512,"Memory":67108864,"NanoCpus":1500000000,"BlkioWeight":500,"CpusetCpus":"0-1","CpusetMems":"0","PidsLimit":100,
"MemoryReservation":33554432,"MemorySwappiness":10,"OomKillDisable":true,"Ulimits":[{"Name":"nofile","Soft":10,"Hard":20}],
"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/nothing","CgroupPermissions":"r"}],"DeviceCgroupRules":["c 1:* rwm"],
"Mounts":[{"Type":"bind","Source":"/s2","Target":"/d2","ReadOnly":true,"BindOptions":{"Propagation":"rshared","NonRecursive":true,"CreateMountpoint":true}},
{"Type":"volume","Source":"sub","Target":"/sub","VolumeOptions":{"Subpath":"a/b","Labels":{"l":"1"},"DriverConfig":{"Name":"local","Options":{"o":"x"}}}},
{"Type":"volume","Target":"/anon2"},
{"Type":"tmpfs","Target":"/tmp","TmpfsOptions":{"SizeBytes":1048576,"Mode":511,"Options":[["exec"]]}}]}}`

func TestGoldenRecords(t *testing.T) {
	for name, tc := range map[string]struct{ body, version string }{
		"default":    {`{"Image":"busybox"}`, "1.51"},
		"everything": {everything, "1.51"},
		"privileged": {`{"Image":"busybox","HostConfig":{"Privileged":true,"NetworkMode":"host","PidMode":"host"}}`, "1.51"},
		"old":        {`{"Image":"busybox","MacAddress":"","HostConfig":{"AutoRemove":true,"Binds":["/a:/b:ro"],"Annotations":{"a":"b"}}}`, "1.24"},
		"joins":      {`{"Image":"busybox","HostConfig":{"NetworkMode":"container:web","PidMode":"container:web","IpcMode":"container:web"}}`, "1.51"},
	} {
		t.Run(name, func(t *testing.T) {
			c, warnings, err := create(t, fakeWorld(), tc.body, tc.version)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(struct {
				Warnings  []string
				Container *record.Container
			}{warnings, c}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", got)
			raw, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var back record.Container
			if err := json.Unmarshal(raw, &back); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(&back)
			if err != nil || !bytes.Equal(raw, again) {
				t.Errorf("the record changes when it is stored: %v\n%s", err, cmp.Diff(string(raw), string(again)))
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
		t.Error(d)
	}
}

func TestVersions(t *testing.T) {
	for _, tc := range []struct{ body, version, want string }{
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"image","Source":"x","Target":"/x"}]}}`, "1.47", `Mount type "Image" needs API v1.48 or newer`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"volume","Source":"vv","Target":"/x","VolumeOptions":{"Subpath":"a"}}]}}`, "1.44", "VolumeOptions.Subpath needs API v1.45 or newer"},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Source":"/v","Target":"/x","ReadOnly":true,"BindOptions":{"ReadOnlyForceRecursive":true}}]}}`, "1.43", "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"},
		{`{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"a":{},"b":{}}}}`, "1.43", "Container cannot be created with multiple network endpoints: a, b"},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"volume","Source":"vv","Target":"/x","TmpfsOptions":{}}]}}`, "1.42", `TmpfsOptions must not be specified on mount type "volume"`},
		{`{"Image":"i","HostConfig":{"Mounts":[{"Type":"volume","Source":"vv","Target":"/x","TmpfsOptions":{}}]}}`, "1.41", ""},
		{`{"Image":"i","MacAddress":"02:42:ac:11:00:02","HostConfig":{"NetworkMode":"none"}}`, "1.43", "conflicting options: mac-address and the network mode"},
		{`{"Image":"i","MacAddress":"nonsense"}`, "1.43", "invalid MAC address nonsense"},
	} {
		_, _, err := create(t, fakeWorld(), tc.body, tc.version)
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s %s: %v, want %q", tc.version, tc.body, err, tc.want)
		}
	}
}

func TestFeaturesThatLack(t *testing.T) {
	for _, tc := range []struct {
		body     string
		features *vmhelperv1.Features
		want     string
	}{
		{`{"Image":"i","HostConfig":{"NetworkMode":"host"}}`, nil, string(errHostNetwork)},
		{`{"Image":"i","HostConfig":{"PidMode":"host"}}`, nil, string(errHostPID)},
		{`{"Image":"i","HostConfig":{"IpcMode":"host"}}`, nil, string(errHostIPC)},
		{`{"Image":"i","HostConfig":{"UTSMode":"host"}}`, nil, string(errHostUTS)},
		{`{"Image":"i","HostConfig":{"CgroupnsMode":"host"}}`, nil, string(errHostCgroup)},
		{`{"Image":"i","HostConfig":{"Devices":[{"PathOnHost":"/dev/null"}]}}`, nil, string(errHostDevices)},
		{`{"Image":"i","HostConfig":{"NetworkMode":"container:web"}}`, nil, string(errJoinDisk)},
		{`{"Image":"i","HostConfig":{"NetworkMode":"container:web","Binds":["/a:/a"]}}`, &vmhelperv1.Features{HotDisk: true}, string(errJoinShare)},
		{`{"Image":"i","HostConfig":{"NetworkMode":"container:web","PidMode":"container:db"}}`, &vmhelperv1.Features{HotDisk: true, HotShare: true},
			"the namespaces of containers web and db cannot be joined by one container: they run in different sandboxes"},
		{`{"Image":"i","HostConfig":{"NetworkMode":"container:web","PidMode":"host"}}`, &vmhelperv1.Features{HotDisk: true, HostPid: true},
			"the host's PID namespace cannot be used together with a namespace of container web, which does not use it"},
	} {
		env := fakeWorld()
		env.Features, env.Kernel = tc.features, FullKernel(2, 2)
		_, _, err := create(t, env, tc.body, "1.51")
		if err == nil || err.Error() != tc.want || !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v, want %s", tc.body, err, tc.want)
		}
	}
	_, _, err := create(t, fakeWorld(), `{"Image":"i","HostConfig":{"IpcMode":"container:db"}}`, "1.51")
	if !errdefs.IsConflict(err) {
		t.Errorf("joining a private IPC namespace: %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{"ab": "ab", "/ab": "ab", "a.b-c_d9": "a.b-c_d9"} {
		if got, err := CheckName(name); err != nil || got != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "a", "/", "-ab", "a b", "a/b", "ab\n", "é9"} {
		_, err := CheckName(name)
		if want := "Invalid container name (" + name + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"; err == nil || err.Error() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	base := func() *record.Container {
		return &record.Container{ID: "c1", State: record.State{Status: record.Running}, HostConfig: &container.HostConfig{
			Resources: container.Resources{Memory: 64 << 20, MemorySwap: 128 << 20}, RestartPolicy: container.RestartPolicy{Name: "no"},
		}}
	}
	for _, tc := range []struct {
		body   string
		change func(*record.Container)
		want   string
	}{
		{`{"Memory":33554432}`, nil, ""},
		{`{"Memory":268435456}`, nil, "Cannot update container c1: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"},
		{`{"Memory":1}`, nil, "Minimum memory limit allowed is 6MB"},
		{`{"NanoCpus":1000000000}`, func(c *record.Container) { c.HostConfig.CPUQuota = 5000 }, "Cannot update container c1: Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"},
		{`{"CpuPeriod":5000}`, func(c *record.Container) { c.HostConfig.NanoCPUs = 1e9 }, "Cannot update container c1: Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"},
		{`{"RestartPolicy":{"Name":"always"}}`, func(c *record.Container) { c.HostConfig.AutoRemove = true }, "Cannot update container c1: Restart policy cannot be updated because AutoRemove is enabled for the container"},
		{`{"RestartPolicy":{"Name":"nope"}}`, nil, "invalid restart policy: unknown policy 'nope'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"},
		{`{"PidsLimit":5}`, func(c *record.Container) { c.State.Status = record.Dead }, `Cannot update container c1: container is marked for removal and cannot be "update"`},
	} {
		var u container.UpdateConfig
		if err := json.Unmarshal([]byte(tc.body), &u); err != nil {
			t.Fatal(err)
		}
		c := base()
		if tc.change != nil {
			tc.change(c)
		}
		_, _, err := Update(c, &u, fakeWorld(), "1.51")
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s: %v, want %q", tc.body, err, tc.want)
		}
	}
	c := base()
	n, _, err := Update(c, &container.UpdateConfig{Resources: container.Resources{Memory: 32 << 20, PidsLimit: new(int64)}}, fakeWorld(), "1.51")
	if err != nil || n.HostConfig.Memory != 32<<20 || *n.HostConfig.PidsLimit != 0 || c.HostConfig.Memory != 64<<20 {
		t.Errorf("%v %+v", err, n)
	}
}
