package agent

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ociSpec is an OCI spec of which only what the agent completes is decoded. The rest goes on to runc as it came, because
// learning all of its types takes a new process milliseconds of every start. What is not here, hooks above all, is dropped.
type ociSpec struct {
	Version     string            `json:"ociVersion"`
	Process     *specs.Process    `json:"process,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       *ociLinux         `json:"linux,omitempty"`
}

type ociLinux struct {
	CgroupsPath string                 `json:"cgroupsPath,omitempty"`
	Namespaces  []specs.LinuxNamespace `json:"namespaces,omitempty"`

	UIDMappings       json.RawMessage `json:"uidMappings,omitempty"`
	GIDMappings       json.RawMessage `json:"gidMappings,omitempty"`
	Sysctl            json.RawMessage `json:"sysctl,omitempty"`
	Resources         json.RawMessage `json:"resources,omitempty"`
	Devices           json.RawMessage `json:"devices,omitempty"`
	NetDevices        json.RawMessage `json:"netDevices,omitempty"`
	Seccomp           json.RawMessage `json:"seccomp,omitempty"`
	RootfsPropagation json.RawMessage `json:"rootfsPropagation,omitempty"`
	MaskedPaths       json.RawMessage `json:"maskedPaths,omitempty"`
	ReadonlyPaths     json.RawMessage `json:"readonlyPaths,omitempty"`
	MountLabel        json.RawMessage `json:"mountLabel,omitempty"`
	IntelRdt          json.RawMessage `json:"intelRdt,omitempty"`
	MemoryPolicy      json.RawMessage `json:"memoryPolicy,omitempty"`
	Personality       json.RawMessage `json:"personality,omitempty"`
	TimeOffsets       json.RawMessage `json:"timeOffsets,omitempty"`
}
