package normal

import (
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Prepared is a request whose own fields have been checked, before the image is known.
type Prepared struct {
	env                           *Environment
	version                       string
	config                        *container.Config
	host                          *container.HostConfig
	endpoints                     map[string]*network.EndpointSettings
	mac                           string
	kernelMemory, kernelMemoryTCP bool
	roReadOnly                    bool // read-only binds leave their submounts writable.
	warnings                      []string
}

// Create brings a create request into its normal form: a record in the state created, and the warnings of the
// answer. The name is one that CheckName took, without a slash, or empty for the caller to choose.
// What req points to is changed and kept by the record.
func Create(req *Request, img ImageDefaults, env *Environment, version, name string) (*record.Container, []string, error) {
	p, err := Prepare(req, env, version)
	if err != nil {
		return nil, nil, err
	}
	c, err := p.Finish(img, name)
	return c, p.warnings, err
}

// Prepare does the part of Create that needs no image: dockerd checks it before it looks for the image.
func Prepare(req *Request, env *Environment, version string) (*Prepared, error) {
	p := &Prepared{env: env, version: version, config: req.Config, host: req.HostConfig, mac: req.MacAddress,
		kernelMemory: req.KernelMemory != 0, kernelMemoryTCP: req.KernelMemoryTCP != 0}
	if p.host == nil {
		p.host = &container.HostConfig{}
	}
	if p.config != nil {
		if err := p.checkCombinations(); err != nil {
			return nil, err
		}
	}
	if p.config == nil {
		return nil, errEmptyConfig
	}
	if req.NetworkingConfig != nil {
		p.endpoints = req.NetworkingConfig.EndpointsConfig
	}
	for name, ep := range p.endpoints {
		if ep == nil {
			return nil, invalidf("invalid config for network %s: EndpointsConfig is nil", name)
		}
	}
	steps := []func() error{p.defaultNetwork, p.versioned, p.driverAndMac, p.endpointSysctls, p.verify, p.network, p.adapt}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Warnings are those of the create answer so far.
func (p *Prepared) Warnings() []string { return p.warnings }

func (p *Prepared) warn(s string) { p.warnings = append(p.warnings, s) }

func (p *Prepared) versioned() (err error) {
	p.roReadOnly, err = p.applyVersion()
	if err != nil {
		return err
	}
	if l := p.host.PidsLimit; l != nil && *l <= 0 {
		p.host.PidsLimit = nil
	}
	if p.host.RestartPolicy.Name == "" {
		p.host.RestartPolicy.Name = container.RestartPolicyDisabled
	}
	return nil
}

// Finish makes the record once the image is known.
func (p *Prepared) Finish(img ImageDefaults, name string) (*record.Container, error) {
	merge(p.config, img.Config)
	if len(p.config.Entrypoint) == 1 && p.config.Entrypoint[0] == "" {
		p.config.Entrypoint = nil
	}
	if len(p.config.Entrypoint) == 0 && len(p.config.Cmd) == 0 {
		return nil, errNoCommand
	}
	log, err := p.logConfig()
	if err != nil {
		return nil, err
	}
	security, err := p.security()
	if err != nil {
		return nil, err
	}
	id := p.env.NewID()
	if err := p.hostname(id); err != nil {
		return nil, err
	}
	mounts, err := p.mounts()
	if err != nil {
		return nil, err
	}
	sandbox, err := p.sandbox()
	if err != nil {
		return nil, err
	}
	path, args := commandLine(p.config)
	return &record.Container{
		ID: id, Name: strings.TrimPrefix(name, "/"), Created: p.env.Now.UTC(),
		Image: p.config.Image, ImageID: img.ID, Layers: img.Layers, Platform: img.Platform,
		Path: path, Args: args, Config: p.config, HostConfig: p.host, Networking: p.endpoints, MacAddress: p.mac,
		Mounts: mounts, LogConfig: log, Security: security, Sandbox: sandbox, APIVersion: p.version,
		State: record.State{Status: record.Created},
	}, nil
}

func commandLine(c *container.Config) (path string, args []string) {
	all := slices.Concat(c.Entrypoint, c.Cmd)
	return all[0], all[1:]
}

func (p *Prepared) hostname(id string) error {
	if p.config.Hostname == "" {
		if p.host.NetworkMode.IsHost() || p.host.UTSMode.IsHost() {
			p.config.Hostname = p.env.Hostname
		} else {
			p.config.Hostname = id[:min(12, len(id))]
		}
	}
	return nil
}

// maxHostname is the kernel's bound of a host and a domain name.
const maxHostname = 64

func checkHostname(field, name string) error {
	if len(name) > maxHostname || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return invalidf("invalid %s format: %s", field, name)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
