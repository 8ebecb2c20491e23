package normal

// Treatment is what becomes of a field of the create body.
type Treatment int

// The treatments. Ignored fields are those that dockerd ignores on Linux too; they are kept and shown.
const (
	Honoured Treatment = iota + 1
	Refused
	Ignored
)

// Field tells what becomes of a field, and for Refused the sentence, for Ignored the reason.
type Field struct {
	Treatment Treatment
	Why       string
}

func honoured() Field              { return Field{Treatment: Honoured} }
func refusedWith(s invalid) Field  { return Field{Refused, string(s)} }
func ignored(because string) Field { return Field{Ignored, because} }

// Reasons why dockerd ignores a field on Linux.
const (
	windowsOnly = "Windows only"
	operational = "said by the engine alone; what a client says is dropped"
	clientSide  = "acted upon by clients"
	metadata    = "metadata, kept and shown"
)

// Fields is the table of every field of the create body of API 1.51, by its path in JSON. Fields that are
// containers of others (HostConfig, Mounts) stand for themselves; their parts are listed beside them.
var Fields = map[string]Field{
	"Hostname":        honoured(),
	"Domainname":      honoured(),
	"User":            honoured(),
	"AttachStdin":     honoured(),
	"AttachStdout":    honoured(),
	"AttachStderr":    honoured(),
	"ExposedPorts":    honoured(),
	"Tty":             honoured(),
	"OpenStdin":       honoured(),
	"StdinOnce":       honoured(),
	"Env":             honoured(),
	"Cmd":             honoured(),
	"Healthcheck":     honoured(),
	"ArgsEscaped":     ignored(windowsOnly),
	"Image":           honoured(),
	"Volumes":         honoured(),
	"WorkingDir":      honoured(),
	"Entrypoint":      honoured(),
	"NetworkDisabled": honoured(),
	"OnBuild":         ignored(metadata),
	"Labels":          honoured(),
	"StopSignal":      honoured(),
	"StopTimeout":     honoured(),
	"Shell":           ignored(metadata),
	"MacAddress":      honoured(),

	"Healthcheck.Test":          honoured(),
	"Healthcheck.Interval":      honoured(),
	"Healthcheck.Timeout":       honoured(),
	"Healthcheck.StartPeriod":   honoured(),
	"Healthcheck.StartInterval": honoured(),
	"Healthcheck.Retries":       honoured(),

	"HostConfig":                 honoured(),
	"HostConfig.Binds":           honoured(),
	"HostConfig.ContainerIDFile": ignored(clientSide),
	"HostConfig.LogConfig":       honoured(),
	"HostConfig.NetworkMode":     honoured(),
	"HostConfig.PortBindings":    honoured(),
	"HostConfig.RestartPolicy":   honoured(),
	"HostConfig.AutoRemove":      honoured(),
	"HostConfig.VolumeDriver":    honoured(),
	"HostConfig.VolumesFrom":     honoured(),
	"HostConfig.ConsoleSize":     honoured(),
	"HostConfig.Annotations":     honoured(),
	"HostConfig.CapAdd":          honoured(),
	"HostConfig.CapDrop":         honoured(),
	"HostConfig.CgroupnsMode":    honoured(),
	"HostConfig.Dns":             honoured(),
	"HostConfig.DnsOptions":      honoured(),
	"HostConfig.DnsSearch":       honoured(),
	"HostConfig.ExtraHosts":      honoured(),
	"HostConfig.GroupAdd":        honoured(),
	"HostConfig.IpcMode":         honoured(),
	"HostConfig.Cgroup":          ignored("no longer read by dockerd on Linux"),
	"HostConfig.Links":           honoured(),
	"HostConfig.OomScoreAdj":     honoured(),
	"HostConfig.PidMode":         honoured(),
	"HostConfig.Privileged":      honoured(),
	"HostConfig.PublishAllPorts": honoured(),
	"HostConfig.ReadonlyRootfs":  honoured(),
	"HostConfig.SecurityOpt":     honoured(),
	"HostConfig.StorageOpt":      refusedWith(errStorageOpt),
	"HostConfig.Tmpfs":           honoured(),
	"HostConfig.UTSMode":         honoured(),
	"HostConfig.UsernsMode":      honoured(),
	"HostConfig.ShmSize":         honoured(),
	"HostConfig.Sysctls":         honoured(),
	"HostConfig.Runtime":         honoured(),
	"HostConfig.Isolation":       honoured(),
	"HostConfig.Mounts":          honoured(),
	"HostConfig.MaskedPaths":     honoured(),
	"HostConfig.ReadonlyPaths":   honoured(),
	"HostConfig.Init":            honoured(),

	"HostConfig.LogConfig.Type":   honoured(),
	"HostConfig.LogConfig.Config": honoured(),

	"HostConfig.PortBindings.HostIp":   honoured(),
	"HostConfig.PortBindings.HostPort": honoured(),

	"HostConfig.RestartPolicy.Name":              honoured(),
	"HostConfig.RestartPolicy.MaximumRetryCount": honoured(),

	"HostConfig.CpuShares":            honoured(),
	"HostConfig.Memory":               honoured(),
	"HostConfig.NanoCpus":             honoured(),
	"HostConfig.CgroupParent":         ignored("a container's cgroup lies in its sandbox's own; a warning says so (buildx always sends a parent)"),
	"HostConfig.BlkioWeight":          honoured(),
	"HostConfig.BlkioWeightDevice":    honoured(),
	"HostConfig.BlkioDeviceReadBps":   honoured(),
	"HostConfig.BlkioDeviceWriteBps":  honoured(),
	"HostConfig.BlkioDeviceReadIOps":  honoured(),
	"HostConfig.BlkioDeviceWriteIOps": honoured(),
	"HostConfig.CpuPeriod":            honoured(),
	"HostConfig.CpuQuota":             honoured(),
	"HostConfig.CpuRealtimePeriod":    refusedWith(errRealtime), // unless the kernel has the scheduler.
	"HostConfig.CpuRealtimeRuntime":   refusedWith(errRealtime),
	"HostConfig.CpusetCpus":           honoured(),
	"HostConfig.CpusetMems":           honoured(),
	"HostConfig.Devices":              honoured(), // where the driver has the host's devices.
	"HostConfig.DeviceCgroupRules":    honoured(),
	"HostConfig.DeviceRequests":       refusedWith(`could not select device driver "" with capabilities: [[gpu]]`),
	"HostConfig.MemoryReservation":    honoured(),
	"HostConfig.MemorySwap":           honoured(),
	"HostConfig.MemorySwappiness":     honoured(),
	"HostConfig.OomKillDisable":       honoured(),
	"HostConfig.PidsLimit":            honoured(),
	"HostConfig.Ulimits":              honoured(),
	"HostConfig.KernelMemory":         refusedWith(errKernelMemory), // before API 1.42; ignored since.
	"HostConfig.KernelMemoryTCP":      refusedWith(errKernelMemory),
	"HostConfig.CpuCount":             ignored(windowsOnly),
	"HostConfig.CpuPercent":           ignored(windowsOnly + "; a warning says so"),
	"HostConfig.IOMaximumIOps":        refusedWith(errQoSIOps),
	"HostConfig.IOMaximumBandwidth":   refusedWith(errQoSBandwidth),

	"HostConfig.BlkioWeightDevice.Path":    honoured(),
	"HostConfig.BlkioWeightDevice.Weight":  honoured(),
	"HostConfig.BlkioDeviceReadBps.Path":   honoured(),
	"HostConfig.BlkioDeviceReadBps.Rate":   honoured(),
	"HostConfig.BlkioDeviceWriteBps.Path":  honoured(),
	"HostConfig.BlkioDeviceWriteBps.Rate":  honoured(),
	"HostConfig.BlkioDeviceReadIOps.Path":  honoured(),
	"HostConfig.BlkioDeviceReadIOps.Rate":  honoured(),
	"HostConfig.BlkioDeviceWriteIOps.Path": honoured(),
	"HostConfig.BlkioDeviceWriteIOps.Rate": honoured(),
	"HostConfig.Devices.PathOnHost":        honoured(),
	"HostConfig.Devices.PathInContainer":   honoured(),
	"HostConfig.Devices.CgroupPermissions": honoured(),
	"HostConfig.Ulimits.Name":              honoured(),
	"HostConfig.Ulimits.Hard":              honoured(),
	"HostConfig.Ulimits.Soft":              honoured(),

	"HostConfig.DeviceRequests.Driver":       refusedWith(`could not select device driver "nvidia" with capabilities: []`),
	"HostConfig.DeviceRequests.Count":        refusedWith(`could not select device driver "" with capabilities: []`),
	"HostConfig.DeviceRequests.DeviceIDs":    refusedWith(`could not select device driver "" with capabilities: []`),
	"HostConfig.DeviceRequests.Capabilities": refusedWith(`could not select device driver "" with capabilities: [[gpu]]`),
	"HostConfig.DeviceRequests.Options":      refusedWith(`could not select device driver "" with capabilities: []`),

	"HostConfig.Mounts.Type":           honoured(), // bind, volume and tmpfs.
	"HostConfig.Mounts.Source":         honoured(),
	"HostConfig.Mounts.Target":         honoured(),
	"HostConfig.Mounts.ReadOnly":       honoured(),
	"HostConfig.Mounts.Consistency":    ignored("macOS only, of engines that share files with a virtual machine"),
	"HostConfig.Mounts.BindOptions":    honoured(),
	"HostConfig.Mounts.VolumeOptions":  honoured(),
	"HostConfig.Mounts.ImageOptions":   refusedWith(errImageMount),
	"HostConfig.Mounts.TmpfsOptions":   honoured(),
	"HostConfig.Mounts.ClusterOptions": ignored("empty by definition; the type cluster is refused"),

	"HostConfig.Mounts.BindOptions.Propagation":            honoured(),
	"HostConfig.Mounts.BindOptions.NonRecursive":           honoured(),
	"HostConfig.Mounts.BindOptions.CreateMountpoint":       honoured(),
	"HostConfig.Mounts.BindOptions.ReadOnlyNonRecursive":   honoured(),
	"HostConfig.Mounts.BindOptions.ReadOnlyForceRecursive": honoured(),
	"HostConfig.Mounts.VolumeOptions.NoCopy":               honoured(),
	"HostConfig.Mounts.VolumeOptions.Labels":               honoured(),
	"HostConfig.Mounts.VolumeOptions.Subpath":              honoured(),
	"HostConfig.Mounts.VolumeOptions.DriverConfig":         honoured(),
	"HostConfig.Mounts.VolumeOptions.DriverConfig.Name":    honoured(),
	"HostConfig.Mounts.VolumeOptions.DriverConfig.Options": honoured(),
	"HostConfig.Mounts.ImageOptions.Subpath":               refusedWith(errImageMount),
	"HostConfig.Mounts.TmpfsOptions.SizeBytes":             honoured(),
	"HostConfig.Mounts.TmpfsOptions.Mode":                  honoured(),
	"HostConfig.Mounts.TmpfsOptions.Options":               honoured(),

	"NetworkingConfig":                                         honoured(),
	"NetworkingConfig.EndpointsConfig":                         honoured(),
	"NetworkingConfig.EndpointsConfig.IPAMConfig":              honoured(),
	"NetworkingConfig.EndpointsConfig.IPAMConfig.IPv4Address":  honoured(),
	"NetworkingConfig.EndpointsConfig.IPAMConfig.IPv6Address":  honoured(),
	"NetworkingConfig.EndpointsConfig.IPAMConfig.LinkLocalIPs": honoured(),
	"NetworkingConfig.EndpointsConfig.Links":                   honoured(),
	"NetworkingConfig.EndpointsConfig.Aliases":                 honoured(),
	"NetworkingConfig.EndpointsConfig.DriverOpts":              honoured(),
	"NetworkingConfig.EndpointsConfig.GwPriority":              honoured(),
	"NetworkingConfig.EndpointsConfig.NetworkID":               ignored(operational),
	"NetworkingConfig.EndpointsConfig.EndpointID":              ignored(operational),
	"NetworkingConfig.EndpointsConfig.Gateway":                 ignored(operational),
	"NetworkingConfig.EndpointsConfig.IPAddress":               ignored(operational),
	"NetworkingConfig.EndpointsConfig.MacAddress":              honoured(),
	"NetworkingConfig.EndpointsConfig.IPPrefixLen":             ignored(operational),
	"NetworkingConfig.EndpointsConfig.IPv6Gateway":             ignored(operational),
	"NetworkingConfig.EndpointsConfig.GlobalIPv6Address":       ignored(operational),
	"NetworkingConfig.EndpointsConfig.GlobalIPv6PrefixLen":     ignored(operational),
	"NetworkingConfig.EndpointsConfig.DNSNames":                ignored(operational),
}
