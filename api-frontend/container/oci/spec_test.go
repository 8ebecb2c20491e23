package oci

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	types "github.com/moby/moby/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// fakeDevices are two devices, one of them in a directory.
type fakeDevices struct{}

func (fakeDevices) All() ([]specs.LinuxDevice, error) {
	return []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}, {Path: "/dev/sda", Type: "b", Major: 8}}, nil
}

func (fakeDevices) At(path string) ([]specs.LinuxDevice, error) {
	switch path {
	case "/dev/sda":
		return []specs.LinuxDevice{{Path: path, Type: "b", Major: 8}}, nil
	case "/dev/bus":
		return []specs.LinuxDevice{{Path: path + "/1", Type: "c", Major: 9, Minor: 1}, {Path: path + "/2", Type: "c", Major: 9, Minor: 2}}, nil
	}
	return nil, os.ErrNotExist
}

func made(t *testing.T, body string) *record.Container {
	t.Helper()
	c, err := tryMake([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return c
}

func tryMake(body []byte) (*record.Container, error) {
	n := 0
	env := &normal.Environment{
		Features: &vmhelperv1.Features{HotDisk: true, HotShare: true, HostNetwork: true, HostPid: true, HostIpc: true, HostUts: true, HostDevices: true},
		Kernel:   normal.FullKernel(1, 2), Hostname: "machine", Now: time.Unix(1, 0),
		NewID: func() string { n++; return fmt.Sprintf("%064x", n) },
		Container: func(name string) (*record.Container, error) {
			return &record.Container{ID: strings.Repeat("a", 64), Name: name, HostConfig: &types.HostConfig{IpcMode: "shareable"},
				Mounts: []record.MountPoint{{Type: "volume", Name: "theirs", Driver: "local", Destination: "/theirs", RW: true}}}, nil
		},
	}
	var req normal.Request
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	c, _, err := normal.Create(&req, normal.ImageDefaults{Layers: []string{"l1", "l2"}}, env, "1.51", "nn")
	return c, err
}

// plain is a simple container, changed.
func plain(change func(*record.Container)) *record.Container {
	c := &record.Container{ID: strings.Repeat("1", 64), Path: "sh", Config: &types.Config{Hostname: "h"},
		HostConfig: &types.HostConfig{NetworkMode: "none", IpcMode: "private", CgroupnsMode: "private", ShmSize: 64 << 20}}
	if change != nil {
		change(c)
	}
	return c
}

const everything = `{"Image":"i","Hostname":"h","Domainname":"d.example","User":"1000:50","Tty":true,"OpenStdin":true,"Env":["PATH=/bin","HOSTNAME"],
"Cmd":["-c","true"],"Entrypoint":"sh","WorkingDir":"/w","HostConfig":{"NetworkMode":"bridge","ConsoleSize":[40,120],"Annotations":{"k":"v"},
"CapAdd":["net_admin","CHOWN"],"CapDrop":["CAP_MKNOD"],"CgroupnsMode":"private","Dns":["9.9.9.9"],"DnsOptions":["ndots:1"],"DnsSearch":["x.example"],
"ExtraHosts":["a:1.2.3.4","b:host-gateway"],"GroupAdd":["audio","7"],"IpcMode":"none","OomScoreAdj":100,"ReadonlyRootfs":true,
"SecurityOpt":["no-new-privileges","seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"mount\",\"action\":\"SCMP_ACT_ERRNO\"}]}","apparmor=p","writable-cgroups"],
"Tmpfs":{"/run":"size=64k,exec"},"ShmSize":1048576,"Sysctls":{"net.core.somaxconn":"7","net.ipv4.ip_unprivileged_port_start":"1024"},
"MaskedPaths":["/proc/kcore"],"ReadonlyPaths":[],"Init":true,"CpuShares":512,"Memory":67108864,"NanoCpus":1500000000,"BlkioWeight":500,
"BlkioWeightDevice":[{"Path":"/dev/sda","Weight":20}],"BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":1000}],"BlkioDeviceWriteIOps":[{"Path":"/dev/sda","Rate":7}],
"CpusetCpus":"0-1","CpusetMems":"0","PidsLimit":100,"MemoryReservation":33554432,"MemorySwappiness":10,"OomKillDisable":true,
"Ulimits":[{"Name":"nofile","Soft":10,"Hard":20},{"Name":"core","Soft":-1,"Hard":-1}],
"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/disk","CgroupPermissions":"r"},{"PathOnHost":"/dev/bus","PathInContainer":"/dev/autobus"}],
"DeviceCgroupRules":["c 1:* rwm"],"Binds":["/src:/dst:ro,rslave","/dev/mine:/dev/mqueue","named:/named:nocopy"],
"Mounts":[{"Type":"bind","Source":"/s2","Target":"/dst/d2","BindOptions":{"NonRecursive":true}},
{"Type":"volume","Source":"sub","Target":"/a/b/sub","ReadOnly":true,"VolumeOptions":{"Subpath":"a/b"}}]}}`

func TestGoldenSpecs(t *testing.T) {
	limits := map[string]*types.Ulimit{"nofile": {Name: "nofile", Soft: 1, Hard: 1}, "nproc": {Name: "nproc", Soft: 5, Hard: 6}}
	for name, tc := range map[string]struct {
		body string
		w    World
	}{
		"default":    {`{"Image":"i","Cmd":["sh"]}`, World{MaskedPaths: []string{"/sys/devices/system/cpu/cpu0/thermal_throttle"}}},
		"privileged": {`{"Image":"i","Cmd":["sh"],"HostConfig":{"Privileged":true,"NetworkMode":"host","PidMode":"host","IpcMode":"host","UTSMode":"host"}}`, World{Devices: fakeDevices{}}},
		"everything": {everything, World{Devices: fakeDevices{}, Ulimits: limits, AppArmor: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := made(t, tc.body)
			tc.w.Architecture, tc.w.Capabilities = "amd64", normal.AllCapabilities
			s, err := Spec(c, &tc.w)
			if err != nil {
				t.Fatal(err)
			}
			if name == "default" { // its rules are compared elsewhere and would bury the rest.
				if s.Linux.Seccomp == nil || len(s.Linux.Seccomp.Syscalls) < 10 {
					t.Error("a default container has no seccomp profile")
				}
				s.Linux.Seccomp.Syscalls = nil
			}
			in := input(c)
			in.Files = Files(c, &tc.w, &FilesInput{ResolvConf: []byte(hostResolv), Membership: &desired.Membership{HostAddress: netip.MustParseAddr("10.9.8.7")}})
			req, err := StartRequest(c, &tc.w, in)
			if err != nil {
				t.Fatal(err)
			}
			req.Spec = nil
			got, err := json.MarshalIndent(struct {
				Spec  *specs.Spec
				Start *guestv1.StartRequest
				Files map[string]string
			}{s, req, texts(in.Files)}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", got)
		})
	}
}

const hostResolv = "# c\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch corp.example lan\noptions edns0\n"

func texts(files []*guestv1.File) map[string]string {
	m := map[string]string{}
	for _, f := range files {
		m[f.Path] = string(f.Content)
		f.Content = nil
	}
	return m
}

func input(c *record.Container) *StartInput {
	in := &StartInput{Refs: Refs{Upper: "dir:/upper", Disks: map[string]string{"l1": "block:/1", "l2": "block:/2"}, Volumes: map[string]string{}, Shares: map[string]Share{}}}
	for i, m := range c.Mounts {
		in.Refs.Volumes[m.Name] = "dir:/volumes/" + m.Name
		in.Refs.Shares[ShareTag(c, i)] = Share{Ref: "dir:/shares" + m.Source}
	}
	return in
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

// TestDefaultStatus is what /proc/self/status of a default container says: CapEff 00000000a80425fb, Seccomp 2.
func TestDefaultStatus(t *testing.T) {
	s, err := Spec(made(t, `{"Image":"i","Cmd":["sh"]}`), &World{})
	if err != nil {
		t.Fatal(err)
	}
	mask := func(caps []string) (m uint64) {
		for _, c := range caps {
			m |= 1 << slices.Index(normal.AllCapabilities, c)
		}
		return m
	}
	caps := s.Process.Capabilities
	for _, set := range [][]string{caps.Effective, caps.Bounding, caps.Permitted} {
		if mask(set) != 0xa80425fb || len(set) != 14 {
			t.Errorf("capabilities %016x", mask(set))
		}
	}
	if caps.Inheritable != nil || caps.Ambient != nil || s.Process.NoNewPrivileges || s.Linux.Seccomp == nil {
		t.Errorf("%+v", s.Process)
	}
	if m := mask(normal.AllCapabilities); m != 0x1ffffffffff || len(normal.AllCapabilities) != 41 {
		t.Errorf("all capabilities: %x", m)
	}
}

func TestTweak(t *testing.T) {
	for _, tc := range []struct {
		add, drop  []string
		privileged bool
		want       []string
	}{
		{nil, []string{"ALL"}, false, []string{}},
		{[]string{"kill"}, []string{"all"}, false, []string{"CAP_KILL"}},
		{[]string{"ALL"}, slices.Clone(normal.AllCapabilities[1:]), false, []string{"CAP_CHOWN"}},
		{nil, []string{"ALL"}, true, normal.AllCapabilities},
		{[]string{"SYS_TIME"}, nil, false, append(slices.Clone(defaultCapabilities), "CAP_SYS_TIME")},
	} {
		got, err := (&World{Capabilities: normal.AllCapabilities}).tweak(tc.add, tc.drop, tc.privileged)
		if d := cmp.Diff(tc.want, got); d != "" || err != nil {
			t.Errorf("+%v -%v: %v %s", tc.add, tc.drop, err, d)
		}
	}
}

func TestUnavailableCapabilities(t *testing.T) {
	w := &World{Capabilities: []string{"CAP_CHOWN", "CAP_KILL", "CAP_SYS_TIME"}}
	for _, tc := range []struct {
		add  []string
		priv bool
		want string
	}{
		{nil, false, "[CAP_CHOWN CAP_KILL]"},
		{[]string{"sys_time"}, false, "[CAP_CHOWN CAP_KILL CAP_SYS_TIME]"},
		{[]string{"ALL"}, false, "[CAP_CHOWN CAP_KILL CAP_SYS_TIME]"},
		{nil, true, "[CAP_CHOWN CAP_KILL CAP_SYS_TIME]"},
		{[]string{"SYS_RESOURCE"}, false, `capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"`},
	} {
		caps, err := w.tweak(tc.add, nil, tc.priv)
		if got := fmt.Sprint(caps); err == nil && got != tc.want || err != nil && err.Error() != tc.want {
			t.Errorf("+%v: %v %v", tc.add, caps, err)
		}
	}
}

func TestExecProcess(t *testing.T) {
	c := made(t, everything)
	p, err := ExecProcess(c, &types.ExecCreateRequest{Cmd: []string{"ls", "-l"}, Env: []string{"A=1", "PATH=/x"}}, &World{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"PATH=/x", "A=1"}, p.Env); d != "" || p.Cwd != "/w" || p.Terminal || !p.NoNewPrivileges || p.Args[1] != "-l" {
		t.Errorf("%+v %s", p, d)
	}
	size := [2]uint{3, 4}
	p, err = ExecProcess(c, &types.ExecCreateRequest{Cmd: []string{"ls"}, Tty: true, ConsoleSize: &size, WorkingDir: "/q", Privileged: true}, &World{Capabilities: normal.AllCapabilities})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Capabilities.Effective) != 41 || p.Cwd != "/q" || p.ConsoleSize.Width != 4 || !slices.Contains(p.Env, "TERM=xterm") {
		t.Errorf("%+v", p)
	}
	if ExecUser(c, &types.ExecCreateRequest{}) != "1000:50" || ExecUser(c, &types.ExecCreateRequest{User: "0"}) != "0" {
		t.Error("the user of an exec")
	}
}

func TestMissingAttachments(t *testing.T) {
	c := made(t, everything)
	for want, change := range map[string]func(*StartInput){
		"the writable layer is not attached": func(in *StartInput) { in.Refs.Upper = "" },
		"layer disk l2 is not attached":      func(in *StartInput) { delete(in.Refs.Disks, "l2") },
		"volume named is not attached":       func(in *StartInput) { delete(in.Refs.Volumes, "named") },
		"bind source /src is not attached":   func(in *StartInput) { in.Refs.Shares = nil; in.Refs.Volumes["x"] = "" },
	} {
		in := input(c)
		change(in)
		if _, err := MountRequest(c, in); err == nil || !strings.Contains(err.Error(), "is not attached") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	in := input(c)
	in.Sockets = map[string]Socket{"/dst": {ID: "s", Mode: 0o660}}
	req, err := MountRequest(c, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range req.Mounts {
		if m.Destination == "/dst" && (m.Kind != guestv1.Mount_SOCKET || m.SocketId != "s") {
			t.Errorf("a socket: %v", m)
		}
		if m.Destination == "/dst/d2" && req.Mounts[i-1].Destination == "/dst/d2" {
			t.Error("order")
		}
	}
}

func TestFiles(t *testing.T) {
	joined := plain(func(c *record.Container) { c.HostConfig.NetworkMode = "container:x" })
	owner := plain(func(c *record.Container) {
		c.Config.Hostname, c.Config.Domainname = "owner", "example"
		c.HostConfig.DNSSearch = []string{"."}
	})
	got := texts(Files(joined, &World{Networked: owner}, &FilesInput{ResolvConf: []byte(hostResolv), Membership: &desired.Membership{Endpoints: []*desired.Endpoint{{IPv4: netip.MustParsePrefix("10.0.0.2/24")}}}}))
	if got["/etc/hostname"] != "owner\n" || !strings.HasSuffix(got["/etc/hosts"], "10.0.0.2\towner.example owner\n") ||
		!strings.Contains(got["/etc/resolv.conf"], "\n\nnameserver 192.0.2.1\noptions edns0\n\n# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: [search]\n") {
		t.Errorf("%q", got)
	}
	host := plain(func(c *record.Container) { c.HostConfig.NetworkMode = "host" })
	got = texts(Files(host, &World{}, &FilesInput{ResolvConf: []byte(hostResolv), Hosts: []byte("1.1.1.1 one")}))
	if got["/etc/hosts"] != "1.1.1.1 one\n" || !strings.Contains(got["/etc/resolv.conf"], "\nnameserver 127.0.0.53\n") {
		t.Errorf("%q", got)
	}
}

func TestFilesOfNetworks(t *testing.T) {
	member := func(userDefined bool) *desired.Membership {
		return &desired.Membership{
			Endpoints: []*desired.Endpoint{{IPv4: netip.MustParsePrefix("172.18.0.2/16"), IPv6: netip.MustParsePrefix("fd00::2/64")}},
			Upstreams: []string{"172.18.0.1:53"}, Resolver: userDefined,
		}
	}
	for name, tc := range map[string]struct {
		m    *desired.Membership
		dns  string
		w    World
		want string
	}{
		"user-defined": {member(true), "", World{}, "nameserver 127.0.0.11\nsearch corp.example lan\noptions edns0 ndots:0\n\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n" +
			"# ExtServers: [host(127.0.0.53) host(192.0.2.1)]\n# Overrides: []\n# Option ndots from: internal\n"},
		"user-defined, servers of its own": {member(true), "9.9.9.9", World{DNS: []netip.Addr{netip.MustParseAddr("8.8.8.8")}}, "nameserver 127.0.0.11\nsearch corp.example lan\noptions edns0 ndots:0\n\n" +
			"# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [9.9.9.9]\n# Overrides: [nameservers]\n# Option ndots from: internal\n"},
		"default network": {member(false), "", World{}, "nameserver 172.18.0.1\nsearch corp.example lan\noptions edns0\n\n# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: []\n"},
		"default network, servers of daemon.json": {member(false), "", World{DNS: []netip.Addr{netip.MustParseAddr("8.8.8.8")}, DNSOptions: []string{"ndots:3"}},
			"nameserver 8.8.8.8\nsearch corp.example lan\noptions ndots:3\n\n# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: [nameservers options]\n"},
	} {
		c := plain(func(c *record.Container) {
			c.HostConfig.NetworkMode = "mine"
			if tc.dns != "" {
				c.HostConfig.DNS = []netip.Addr{netip.MustParseAddr(tc.dns)}
			}
		})
		links := []HostLine{{netip.MustParseAddr("172.18.0.9"), []string{"alias", "name"}}}
		got := texts(NetworkFiles(c, &tc.w, &FilesInput{ResolvConf: []byte(hostResolv), Membership: tc.m, Links: links}))
		if _, text, _ := strings.Cut(got["/etc/resolv.conf"], "modified.\n\n"); text != tc.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, text, tc.want)
		}
		if !strings.HasSuffix(got["/etc/hosts"], "ip6-allrouters\n172.18.0.9\talias name\n172.18.0.2\th\nfd00::2\th\n") || len(got) != 2 {
			t.Errorf("%s: %q", name, got["/etc/hosts"])
		}
	}
}

func TestNetworkConfig(t *testing.T) {
	n := &desired.Network{ID: "n", Pools: []desired.Pool{
		{Subnet: netip.MustParsePrefix("172.18.0.0/16"), Gateway: netip.MustParseAddr("172.18.0.1")},
		{Subnet: netip.MustParsePrefix("fd00::/64"), Gateway: netip.MustParseAddr("fd00::1")},
	}}
	m := &desired.Membership{
		Networks: map[string]*desired.Network{"n": n, "small": {ID: "small", MTU: 1280}},
		Endpoints: []*desired.Endpoint{
			{NetworkID: "null"},
			{NetworkID: "n", Link: "e1", Interface: "eth0", MAC: []byte{2, 0, 0, 0, 0, 1}, IPv4: netip.MustParsePrefix("172.18.0.2/16"),
				IPv6: netip.MustParsePrefix("fd00::2/64"), More: []netip.Prefix{netip.MustParsePrefix("169.254.1.1/32")}, Default4: true, Default6: true},
			{NetworkID: "small", Link: "e2", Tag: 7, Interface: "eth1", IPv4: netip.MustParsePrefix("10.0.0.2/24")},
		},
		Upstreams: []string{"172.18.0.1:53"}, Resolver: true,
	}
	c := plain(nil)
	got := NetworkConfig(c, m, &World{}, 1500)
	want := &guestv1.NetworkConfig{
		Interfaces: []*guestv1.Interface{
			{Link: "e1", Name: "eth0", Mac: []byte{2, 0, 0, 0, 0, 1}, Mtu: 1500, Addresses: []string{"172.18.0.2/16", "fd00::2/64", "169.254.1.1/32"},
				Gateway: "172.18.0.1", Gateway6: "fd00::1"},
			{Link: "e2", Tag: 7, Name: "eth1", Mtu: 1280, Addresses: []string{"10.0.0.2/24"}},
		},
		Resolver: &guestv1.Resolver{Upstreams: []string{"172.18.0.1:53"}},
	}
	if !proto.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	c.HostConfig.DNS = []netip.Addr{netip.MustParseAddr("fd00::9")}
	if up := NetworkConfig(c, m, &World{}, 0).Resolver.Upstreams; !slices.Equal(up, []string{"[fd00::9]:53"}) {
		t.Errorf("servers of its own: %v", up)
	}
	if NetworkConfig(c, nil, &World{}, 0) != nil {
		t.Error("a container without a run in networks has no configuration")
	}
}

func TestSeccompChoice(t *testing.T) {
	for _, tc := range []struct {
		text       string
		privileged bool
		w          World
		some, fail bool
	}{
		{"", false, World{}, true, false},
		{"", true, World{}, false, false},
		{"unconfined", false, World{}, false, false},
		{"builtin", true, World{}, true, false},
		{"", false, World{NoSeccomp: true}, false, false},
		{"builtin", false, World{NoSeccomp: true}, false, true},
		{"{", false, World{}, false, true},
		{`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["a"],"archMap":[{"architecture":"b"}]}`, false, World{}, false, true},
		{`{}`, false, World{}, false, false},
		{`{"syscalls":[null,{"name":"a","names":["b"]}]}`, false, World{}, false, true},
		{`null`, false, World{}, false, false},
	} {
		c := plain(func(c *record.Container) { c.Security.Seccomp, c.HostConfig.Privileged = tc.text, tc.privileged })
		p, err := seccompProfile(c, &tc.w, nil)
		if (p != nil) != tc.some || (err != nil) != tc.fail {
			t.Errorf("%q: %v %v", tc.text, p != nil, err)
		}
	}
}
