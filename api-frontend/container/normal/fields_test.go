package normal

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
)

// leaves are structs that are one value in JSON.
var leaves = []reflect.Type{reflect.TypeFor[netip.Addr](), reflect.TypeFor[network.Port]()}

// paths lists the paths of all fields of a type, in JSON's names.
func paths(t reflect.Type, at string, into map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(leaves, t) {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			paths(f.Type, at, into)
			continue
		}
		if name == "" {
			name = f.Name
		}
		path := strings.TrimPrefix(at+"."+name, ".")
		into[path] = true
		paths(f.Type, path, into)
	}
}

func TestEveryFieldIsInTheTable(t *testing.T) {
	have := map[string]bool{}
	paths(reflect.TypeFor[wire](), "", have)
	for _, p := range slices.Sorted(maps.Keys(have)) {
		f, ok := Fields[p]
		if !ok {
			t.Errorf("the table lacks %s", p)
		}
		if ok && f.Treatment != Honoured && f.Why == "" {
			t.Errorf("%s: neither a sentence nor a reason", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(Fields)) {
		if !have[p] {
			t.Errorf("the table has %s, which is no field", p)
		}
	}
	if len(have) < 150 {
		t.Errorf("only %d fields were found", len(have))
	}
}

// refusals are bodies that set a refused field.
var refusals = map[string]string{
	"HostConfig.StorageOpt":                  `{"HostConfig":{"StorageOpt":{"size":"1G"}}}`,
	"HostConfig.CpuRealtimePeriod":           `{"HostConfig":{"CpuRealtimePeriod":1000}}`,
	"HostConfig.CpuRealtimeRuntime":          `{"HostConfig":{"CpuRealtimeRuntime":1000}}`,
	"HostConfig.KernelMemory":                `{"HostConfig":{"KernelMemory":8388608}}`,
	"HostConfig.KernelMemoryTCP":             `{"HostConfig":{"KernelMemoryTCP":8388608}}`,
	"HostConfig.IOMaximumIOps":               `{"HostConfig":{"IOMaximumIOps":1}}`,
	"HostConfig.IOMaximumBandwidth":          `{"HostConfig":{"IOMaximumBandwidth":1}}`,
	"HostConfig.DeviceRequests":              `{"HostConfig":{"DeviceRequests":[{"Capabilities":[["gpu"]]}]}}`,
	"HostConfig.DeviceRequests.Driver":       `{"HostConfig":{"DeviceRequests":[{"Driver":"nvidia"}]}}`,
	"HostConfig.DeviceRequests.Count":        `{"HostConfig":{"DeviceRequests":[{"Count":-1}]}}`,
	"HostConfig.DeviceRequests.DeviceIDs":    `{"HostConfig":{"DeviceRequests":[{"DeviceIDs":["0"]}]}}`,
	"HostConfig.DeviceRequests.Capabilities": `{"HostConfig":{"DeviceRequests":[{"Capabilities":[["gpu"]]}]}}`,
	"HostConfig.DeviceRequests.Options":      `{"HostConfig":{"DeviceRequests":[{"Options":{"a":"b"}}]}}`,
	"HostConfig.Mounts.ImageOptions":         `{"HostConfig":{"Mounts":[{"Type":"image","Source":"i","Target":"/i","ImageOptions":{}}]}}`,
	"HostConfig.Mounts.ImageOptions.Subpath": `{"HostConfig":{"Mounts":[{"Type":"image","Source":"i","Target":"/i","ImageOptions":{"Subpath":"a"}}]}}`,
}

func TestRefusedFieldsAreRefused(t *testing.T) {
	for _, path := range slices.Sorted(maps.Keys(Fields)) {
		f := Fields[path]
		body, ok := refusals[path]
		if ok != (f.Treatment == Refused) {
			t.Errorf("%s: the table and the tests differ", path)
		}
		if !ok {
			continue
		}
		version := "1.51"
		if strings.HasPrefix(path, "HostConfig.KernelMemory") {
			version = "1.41"
		}
		var req Request
		if err := json.Unmarshal([]byte(`{"Image":"i",`+body[1:]), &req); err != nil {
			t.Fatal(path, err)
		}
		_, _, err := Create(&req, busybox(), fakeWorld(), version, "nn")
		if err == nil || !errdefs.IsInvalidArgument(err) || !strings.HasSuffix(err.Error(), f.Why) {
			t.Errorf("%s: %v, want %s", path, err, f.Why)
		}
	}
}
