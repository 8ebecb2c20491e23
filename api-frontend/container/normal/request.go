package normal

import (
	"encoding/json"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// Request is the body of POST /containers/create in all versions of the API: today's types and what they lost.
type Request struct {
	container.CreateRequest
	// MacAddress is container-wide; deprecated since API 1.44.
	MacAddress string
	// KernelMemory and KernelMemoryTCP of the HostConfig went with API 1.42.
	KernelMemory    int64
	KernelMemoryTCP int64
}

// words is a list of strings that clients may give as one string (moby's StrSlice).
type words []string

// UnmarshalJSON takes a list, a string or null.
func (w *words) UnmarshalJSON(b []byte) error {
	var list []string
	err := json.Unmarshal(b, &list)
	if err == nil {
		*w = list
		return nil
	}
	var one string
	if json.Unmarshal(b, &one) != nil {
		return err
	}
	*w = words{one}
	return nil
}

// wire is a create body; its own fields stand over the embedded ones of the same name.
type wire struct {
	*container.Config
	Cmd              words
	Entrypoint       words
	Shell            words
	MacAddress       *string
	HostConfig       *wireHost
	NetworkingConfig *network.NetworkingConfig
}

type wireHost struct {
	*container.HostConfig
	KernelMemory    int64
	KernelMemoryTCP int64
}

// UnmarshalJSON decodes a create body. An object without any field of the configuration has a nil Config.
func (r *Request) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*r = Request{}
	if w.Config == nil && (w.Cmd != nil || w.Entrypoint != nil || w.Shell != nil || w.MacAddress != nil) {
		w.Config = &container.Config{}
	}
	if w.Config != nil {
		w.Config.Cmd, w.Config.Entrypoint, w.Config.Shell = w.Cmd, w.Entrypoint, w.Shell
	}
	if w.MacAddress != nil {
		r.MacAddress = *w.MacAddress
	}
	r.Config, r.NetworkingConfig = w.Config, w.NetworkingConfig
	if w.HostConfig != nil {
		r.HostConfig = w.HostConfig.HostConfig
		if r.HostConfig == nil {
			r.HostConfig = &container.HostConfig{}
		}
		r.KernelMemory, r.KernelMemoryTCP = w.HostConfig.KernelMemory, w.HostConfig.KernelMemoryTCP
	}
	return nil
}
