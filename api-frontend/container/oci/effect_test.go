package oci

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// elsewhere are honoured fields that others than the guest act upon: the engine's life cycle, its logs, its views.
var elsewhere = []string{
	"AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "ExposedPorts", "Healthcheck", "Healthcheck.Test",
	"Healthcheck.Interval", "Healthcheck.Timeout", "Healthcheck.StartPeriod", "Healthcheck.StartInterval",
	"Healthcheck.Retries", "Image", "Labels", "StopSignal", "StopTimeout", "HostConfig", "HostConfig.LogConfig",
	"HostConfig.LogConfig.Type", "HostConfig.LogConfig.Config", "HostConfig.RestartPolicy",
	"HostConfig.RestartPolicy.Name", "HostConfig.RestartPolicy.MaximumRetryCount", "HostConfig.AutoRemove",
	"NetworkingConfig", "NetworkingConfig.EndpointsConfig", "NetworkingConfig.EndpointsConfig.IPAMConfig",
	"NetworkingConfig.EndpointsConfig.GwPriority", "NetworkDisabled", "HostConfig.UsernsMode", "HostConfig.Runtime",
	"HostConfig.Isolation", "HostConfig.VolumeDriver", // these have one value, checked at create.
	"HostConfig.Mounts.VolumeOptions.DriverConfig.Name",
	// These are what the networks room acts upon.
	"MacAddress", "HostConfig.Links", "HostConfig.PortBindings", "HostConfig.PortBindings.HostIp", "HostConfig.PortBindings.HostPort",
	"HostConfig.PublishAllPorts", "NetworkingConfig.EndpointsConfig.Aliases", "NetworkingConfig.EndpointsConfig.DriverOpts",
	"NetworkingConfig.EndpointsConfig.IPAMConfig.IPv4Address", "NetworkingConfig.EndpointsConfig.IPAMConfig.IPv6Address",
	"NetworkingConfig.EndpointsConfig.IPAMConfig.LinkLocalIPs", "NetworkingConfig.EndpointsConfig.Links",
	"NetworkingConfig.EndpointsConfig.MacAddress",
	"HostConfig.Mounts.BindOptions.ReadOnlyForceRecursive", // the agent fails where it cannot be, always.
}

const sda = `"Path":"/dev/sda"`

// effects are pairs of bodies that differ in one field: what the guest is told must differ too. A single one is
// compared with a plain container.
var effects = map[string][]string{
	"Hostname":                             {`{"Hostname":"x"}`},
	"Domainname":                           {`{"Domainname":"x"}`},
	"User":                                 {`{"User":"x"}`},
	"Tty":                                  {`{"Tty":true}`},
	"OpenStdin":                            {`{"OpenStdin":true}`},
	"Env":                                  {`{"Env":["A=b"]}`},
	"Cmd":                                  {`{"Cmd":["x"]}`},
	"Volumes":                              {`{"Volumes":{"/x":{}}}`},
	"WorkingDir":                           {`{"WorkingDir":"/x"}`},
	"Entrypoint":                           {`{"Entrypoint":["x"]}`},
	"HostConfig.Binds":                     {`{"HostConfig":{"Binds":["/x:/x"]}}`},
	"HostConfig.NetworkMode":               {`{"HostConfig":{"NetworkMode":"host"}}`},
	"HostConfig.VolumesFrom":               {`{"HostConfig":{"VolumesFrom":["other"]}}`},
	"HostConfig.ConsoleSize":               {`{"Tty":true}`, `{"Tty":true,"HostConfig":{"ConsoleSize":[3,4]}}`},
	"HostConfig.Annotations":               {`{"HostConfig":{"Annotations":{"a":"b"}}}`},
	"HostConfig.CapAdd":                    {`{"HostConfig":{"CapAdd":["SYS_TIME"]}}`},
	"HostConfig.CapDrop":                   {`{"HostConfig":{"CapDrop":["KILL"]}}`},
	"HostConfig.CgroupnsMode":              {`{"HostConfig":{"CgroupnsMode":"private"}}`},
	"HostConfig.Dns":                       {`{"HostConfig":{"Dns":["9.9.9.9"]}}`},
	"HostConfig.DnsOptions":                {`{"HostConfig":{"DnsOptions":["x"]}}`},
	"HostConfig.DnsSearch":                 {`{"HostConfig":{"DnsSearch":["x"]}}`},
	"HostConfig.ExtraHosts":                {`{"HostConfig":{"ExtraHosts":["x:1.2.3.4"]}}`},
	"HostConfig.GroupAdd":                  {`{"HostConfig":{"GroupAdd":["x"]}}`},
	"HostConfig.IpcMode":                   {`{"HostConfig":{"IpcMode":"none"}}`},
	"HostConfig.OomScoreAdj":               {`{"HostConfig":{"OomScoreAdj":3}}`},
	"HostConfig.PidMode":                   {`{"HostConfig":{"PidMode":"container:other"}}`},
	"HostConfig.Privileged":                {`{"HostConfig":{"Privileged":true}}`},
	"HostConfig.ReadonlyRootfs":            {`{"HostConfig":{"ReadonlyRootfs":true}}`},
	"HostConfig.SecurityOpt":               {`{"HostConfig":{"SecurityOpt":["no-new-privileges"]}}`},
	"HostConfig.Tmpfs":                     {`{"HostConfig":{"Tmpfs":{"/x":""}}}`},
	"HostConfig.UTSMode":                   {`{"HostConfig":{"UTSMode":"host"}}`},
	"HostConfig.ShmSize":                   {`{"HostConfig":{"ShmSize":1048576}}`},
	"HostConfig.Sysctls":                   {`{"HostConfig":{"Sysctls":{"net.core.somaxconn":"7"}}}`},
	"HostConfig.Mounts":                    {`{"HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/x"}]}}`},
	"HostConfig.MaskedPaths":               {`{"HostConfig":{"MaskedPaths":[]}}`},
	"HostConfig.ReadonlyPaths":             {`{"HostConfig":{"ReadonlyPaths":[]}}`},
	"HostConfig.Init":                      {`{"HostConfig":{"Init":true}}`},
	"HostConfig.CpuShares":                 {`{"HostConfig":{"CpuShares":7}}`},
	"HostConfig.Memory":                    {`{"HostConfig":{"Memory":8388608}}`},
	"HostConfig.NanoCpus":                  {`{"HostConfig":{"NanoCpus":1000000000}}`},
	"HostConfig.BlkioWeight":               {`{"HostConfig":{"BlkioWeight":100}}`},
	"HostConfig.CpuPeriod":                 {`{"HostConfig":{"CpuPeriod":5000}}`},
	"HostConfig.CpuQuota":                  {`{"HostConfig":{"CpuQuota":5000}}`},
	"HostConfig.CpusetCpus":                {`{"HostConfig":{"CpusetCpus":"0"}}`},
	"HostConfig.CpusetMems":                {`{"HostConfig":{"CpusetMems":"0"}}`},
	"HostConfig.DeviceCgroupRules":         {`{"HostConfig":{"DeviceCgroupRules":["c 1:2 r"]}}`},
	"HostConfig.MemoryReservation":         {`{"HostConfig":{"MemoryReservation":8388608}}`},
	"HostConfig.MemorySwap":                {`{"HostConfig":{"Memory":8388608}}`, `{"HostConfig":{"Memory":8388608,"MemorySwap":8388608}}`},
	"HostConfig.MemorySwappiness":          {`{"HostConfig":{"MemorySwappiness":3}}`},
	"HostConfig.OomKillDisable":            {`{"HostConfig":{"OomKillDisable":true}}`},
	"HostConfig.PidsLimit":                 {`{"HostConfig":{"PidsLimit":3}}`},
	"HostConfig.Devices":                   {`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda"}]}}`},
	"HostConfig.Devices.PathOnHost":        {`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/x"}]}}`, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/bus","PathInContainer":"/x"}]}}`},
	"HostConfig.Devices.PathInContainer":   {`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda"}]}}`, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/x"}]}}`},
	"HostConfig.Devices.CgroupPermissions": {`{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda"}]}}`, `{"HostConfig":{"Devices":[{"PathOnHost":"/dev/sda","CgroupPermissions":"r"}]}}`},
	"HostConfig.Ulimits":                   {`{"HostConfig":{"Ulimits":[{"Name":"core","Soft":1,"Hard":1}]}}`},
	"HostConfig.Ulimits.Name":              {`{"HostConfig":{"Ulimits":[{"Name":"core","Soft":1,"Hard":1}]}}`, `{"HostConfig":{"Ulimits":[{"Name":"cpu","Soft":1,"Hard":1}]}}`},
	"HostConfig.Ulimits.Hard":              {`{"HostConfig":{"Ulimits":[{"Name":"core","Soft":1,"Hard":1}]}}`, `{"HostConfig":{"Ulimits":[{"Name":"core","Soft":1,"Hard":2}]}}`},
	"HostConfig.Ulimits.Soft":              {`{"HostConfig":{"Ulimits":[{"Name":"core","Soft":1,"Hard":2}]}}`, `{"HostConfig":{"Ulimits":[{"Name":"core","Soft":2,"Hard":2}]}}`},

	"HostConfig.Mounts.Type":     {mounted(`"Type":"tmpfs","Target":"/x"`), mounted(`"Type":"volume","Target":"/x"`)},
	"HostConfig.Mounts.Source":   {mounted(`"Type":"bind","Target":"/x","Source":"/a"`), mounted(`"Type":"bind","Target":"/x","Source":"/b"`)},
	"HostConfig.Mounts.Target":   {mounted(`"Type":"tmpfs","Target":"/x"`), mounted(`"Type":"tmpfs","Target":"/y"`)},
	"HostConfig.Mounts.ReadOnly": {mounted(`"Type":"tmpfs","Target":"/x"`), mounted(`"Type":"tmpfs","Target":"/x","ReadOnly":true`)},

	"HostConfig.Mounts.BindOptions":                        {bound(``), bound(`"BindOptions":{"NonRecursive":true}`)},
	"HostConfig.Mounts.BindOptions.NonRecursive":           {bound(``), bound(`"BindOptions":{"NonRecursive":true}`)},
	"HostConfig.Mounts.BindOptions.Propagation":            {bound(``), bound(`"BindOptions":{"Propagation":"rslave"}`)},
	"HostConfig.Mounts.BindOptions.CreateMountpoint":       {bound(``), bound(`"BindOptions":{"CreateMountpoint":true}`)},
	"HostConfig.Mounts.BindOptions.ReadOnlyNonRecursive":   {bound(`"ReadOnly":true`), bound(`"ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}`)},
	"HostConfig.Mounts.VolumeOptions":                      {volume(``), volume(`"VolumeOptions":{"NoCopy":true}`)},
	"HostConfig.Mounts.VolumeOptions.NoCopy":               {volume(``), volume(`"VolumeOptions":{"NoCopy":true}`)},
	"HostConfig.Mounts.VolumeOptions.Subpath":              {volume(``), volume(`"VolumeOptions":{"Subpath":"a"}`)},
	"HostConfig.Mounts.VolumeOptions.Labels":               {volume(``), volume(`"VolumeOptions":{"Labels":{"a":"b"}}`)},
	"HostConfig.Mounts.VolumeOptions.DriverConfig":         {volume(``), volume(`"VolumeOptions":{"DriverConfig":{"Options":{"a":"b"}}}`)},
	"HostConfig.Mounts.VolumeOptions.DriverConfig.Options": {volume(``), volume(`"VolumeOptions":{"DriverConfig":{"Options":{"a":"b"}}}`)},
	"HostConfig.Mounts.TmpfsOptions":                       {tmpfs(``), tmpfs(`"SizeBytes":1`)},
	"HostConfig.Mounts.TmpfsOptions.SizeBytes":             {tmpfs(``), tmpfs(`"SizeBytes":1`)},
	"HostConfig.Mounts.TmpfsOptions.Mode":                  {tmpfs(``), tmpfs(`"Mode":7`)},
	"HostConfig.Mounts.TmpfsOptions.Options":               {tmpfs(``), tmpfs(`"Options":[["exec"]]`)},
}

func init() {
	for _, limit := range []string{"BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "BlkioWeightDevice"} {
		number := `"Rate"`
		if limit == "BlkioWeightDevice" {
			number = `"Weight"`
		}
		at := "HostConfig." + limit
		body := func(dev, n string) string {
			return `{"HostConfig":{"` + limit + `":[{` + dev + `,` + number + `:` + n + `}]}}`
		}
		effects[at] = []string{body(sda, "7")}
		effects[at+".Path"] = []string{body(sda, "7")}
		effects[at+"."+number[1:len(number)-1]] = []string{body(sda, "7"), body(sda, "8")}
	}
}

func mounted(m string) string { return `{"HostConfig":{"Mounts":[{` + m + `}]}}` }
func bound(o string) string   { return mounted(join2(`"Type":"bind","Target":"/x","Source":"/a"`, o)) }
func volume(o string) string {
	return mounted(join2(`"Type":"volume","Target":"/x","Source":"vol"`, o))
}
func tmpfs(o string) string {
	return mounted(`"Type":"tmpfs","Target":"/x","TmpfsOptions":{` + o + `}`)
}

func join2(a, b string) string {
	if b == "" {
		return a
	}
	return a + "," + b
}

// effect is what the guest is told, and the mounts: some of their options are for vmhelper and for volumes.
func effect(t *testing.T, body string) string {
	t.Helper()
	inner := body[1 : len(body)-1]
	if inner != "" {
		inner = "," + inner
	}
	c := made(t, `{"Image":"i","Cmd":["sh"]`+inner+`}`)
	w := &World{Devices: fakeDevices{}, Architecture: "amd64", Capabilities: normal.AllCapabilities}
	in := input(c)
	in.Files = Files(c, w, &FilesInput{ResolvConf: []byte(hostResolv)})
	req, err := StartRequest(c, w, in)
	if err != nil {
		t.Fatal(err)
	}
	start, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(struct {
		Start  []byte
		Mounts []record.MountPoint
	}{start, c.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestHonouredFieldsHaveAnEffect: no field that the table calls honoured is silently ignored.
func TestHonouredFieldsHaveAnEffect(t *testing.T) {
	plain := effect(t, `{}`)
	for _, path := range slices.Sorted(maps.Keys(normal.Fields)) {
		bodies, ok := effects[path]
		here := normal.Fields[path].Treatment == normal.Honoured && !slices.Contains(elsewhere, path)
		if ok != here {
			t.Errorf("%s: the table and this test differ", path)
		}
		if !ok {
			continue
		}
		before, after := plain, effect(t, bodies[len(bodies)-1])
		if len(bodies) == 2 {
			before = effect(t, bodies[0])
		}
		if before == after {
			t.Errorf("%s has no effect", path)
		}
	}
}

func FuzzSpec(f *testing.F) {
	f.Add([]byte(everything))
	for _, bodies := range effects {
		f.Add([]byte(bodies[0]))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := tryMake(body)
		if err != nil {
			return
		}
		w := &World{Devices: fakeDevices{}}
		in := input(c)
		in.Files = Files(c, w, &FilesInput{ResolvConf: []byte(hostResolv)})
		if req, err := StartRequest(c, w, in); err == nil && !json.Valid(req.Spec) {
			t.Fatal("the spec is no JSON")
		}
	})
}
