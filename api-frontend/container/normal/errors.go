package normal

import "fmt"

// invalid is a sentence of Docker's that the client gets with status 400.
type invalid string

// Error is the sentence.
func (e invalid) Error() string { return string(e) }

// InvalidParameter marks the error for errdefs.IsInvalidArgument.
func (invalid) InvalidParameter() {}

func invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }

// conflict is a sentence of Docker's that the client gets with status 409.
type conflict string

// Error is the sentence.
func (e conflict) Error() string { return string(e) }

// Conflict marks the error for errdefs.IsConflict.
func (conflict) Conflict() {}

// Docker's sentences about combinations of networks, from moby's runconfig package.
const (
	errNetworkAndLinks    invalid = "conflicting options: container type network can't be used with links. This would result in undefined behavior"
	errSharedNetwork      invalid = "container sharing network namespace with another container or host cannot be connected to any other network"
	errNoNetwork          invalid = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
	errNetworkAndDNS      invalid = "conflicting options: dns and the network mode"
	errNetworkHostname    invalid = "conflicting options: hostname and the network mode"
	errHostAndLinks       invalid = "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
	errNetworkAndMac      invalid = "conflicting options: mac-address and the network mode"
	errNetworkHosts       invalid = "conflicting options: custom host-to-IP mapping and the network mode"
	errNetworkPublish     invalid = "conflicting options: port publishing and the container type network mode"
	errNetworkExpose      invalid = "conflicting options: port exposing and the container type network mode"
	errNetworkAndIP       invalid = "user specified IP address is supported on user defined networks only"
	errNetworkAndAlias    invalid = "network-scoped alias is supported only for containers in user defined networks"
	errUTSHostname        invalid = "conflicting options: hostname and the UTS mode"
	errEmptyConfig        invalid = "config cannot be empty in order to create a container"
	errNetworkFormat      invalid = "invalid network mode: invalid container format container:<name|id>"
	errAutoRemoveRestart  invalid = "can't create 'AutoRemove' container with restart policy"
	errNoCommand          invalid = "no command specified"
	errEmptyAnnotationKey invalid = "invalid Annotations: the empty string is not permitted as an annotation key"
	errMacMismatch        invalid = "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
)

// What this engine cannot do yet, or its driver cannot do at all, each in one sentence.
const (
	errImageMount    invalid = `invalid mount config for type "image": mounts of images are not supported`
	errStorageOpt    invalid = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
	errHostNetwork   invalid = "the host's network namespace cannot be used: this driver runs containers in a machine of their own"
	errHostPID       invalid = "the host's PID namespace cannot be used: this driver runs containers in a machine of their own"
	errHostIPC       invalid = "the host's IPC namespace cannot be used: this driver runs containers in a machine of their own"
	errHostUTS       invalid = "the host's UTS namespace cannot be used: this driver runs containers in a machine of their own"
	errHostCgroup    invalid = "the host's cgroup namespace cannot be used: this driver runs containers in a machine of their own"
	errHostDevices   invalid = "devices of the host cannot be used: this driver runs containers in a machine of their own"
	errKernelMemory  invalid = "kernel memory limits are not supported"
	errRealtime      invalid = "kernel does not support CPU real-time scheduler"
	errQoSBandwidth  invalid = "invalid option: QoS maximum bandwidth configuration is not supported on linux"
	errQoSIOps       invalid = "invalid option: QoS maximum IOPs configuration is not supported on linux"
	errJoinDisk      invalid = "a container cannot join another one's namespaces: this driver cannot add disks to a running sandbox"
	errJoinShare     invalid = "a container that joins another one's namespaces cannot have binds of host paths: this driver cannot add shares to a running sandbox"
	warnCgroupParent         = "The cgroup parent is discarded: the cgroup of a container lies in its sandbox's own."
	warnPublishHost          = "Published ports are discarded when using host network mode"
	warnPublishNone          = "Published ports are discarded when using none network mode"
)
