package view

import (
	"encoding/json"
	"testing"
)

// TestOldFieldsAreThere: fields that today's types lost and clients of API 1.51 read.
func TestOldFieldsAreThere(t *testing.T) {
	raw, err := json.Marshal(NewInspect(sample(1), &Facts{}))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	settings := got["NetworkSettings"].(map[string]any)
	for _, k := range []string{"Bridge", "SandboxID", "SandboxKey", "Ports", "HairpinMode", "LinkLocalIPv6Address", "LinkLocalIPv6PrefixLen",
		"SecondaryIPAddresses", "SecondaryIPv6Addresses", "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress",
		"IPPrefixLen", "IPv6Gateway", "MacAddress", "Networks"} {
		if _, ok := settings[k]; !ok {
			t.Errorf("NetworkSettings lacks %s", k)
		}
	}
	for _, k := range []string{"Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "Name",
		"RestartCount", "Driver", "Platform", "MountLabel", "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig", "GraphDriver", "Mounts",
		"Config", "NetworkSettings"} {
		if _, ok := got[k]; !ok {
			t.Errorf("inspect lacks %s", k)
		}
	}
	for _, k := range []string{"SizeRw", "SizeRootFs", "Storage", "ImageManifestDescriptor"} {
		if _, ok := got[k]; ok {
			t.Errorf("inspect has %s", k)
		}
	}
	if got["Name"] != "/name-1" || settings["Ports"].(map[string]any)["80/tcp"] != nil || got["Config"].(map[string]any)["MacAddress"] != nil {
		t.Errorf("%s", raw)
	}
}
