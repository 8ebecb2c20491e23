package initproc

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/arca-engine/arca/guest/number"
	"github.com/arca-engine/arca/internal/bootwire"
)

// World is a booted sandbox.
type World struct {
	ID      string
	BootID  string
	Runc    string // path of runc.
	Init    string // path of the init for containers.
	HostPID bool
	// OwnNetwork: the agent's network namespace is the sandbox's own, and holds only what a container may have.
	OwnNetwork bool
	// Numbers translates the numbers of processes to the host's; nil: there is nothing to translate.
	Numbers *number.Host
	// Cgroup is 1 or 2.
	Cgroup int

	machine  bool // this is a virtual machine.
	listener Listener
	boot     *bootwire.Conn
	bootSeq  uint64
	programs []*os.File // that came as open files, kept open.
}

// Listener gives the connections of each port of the control channel.
type Listener interface {
	// Port returns the listener of one port. It is called before Serve.
	Port(port uint32) net.Listener
	// Serve accepts until ctx ends.
	Serve(ctx context.Context) error
}

// Listener returns the control channel.
func (w *World) Listener() Listener { return w.listener }

// Boot makes the world as the environment says.
func Boot(ctx context.Context) (*World, error) {
	switch how := os.Getenv(bootwire.Env); how {
	case bootwire.EnvNamespace:
		return bootNamespace(ctx)
	case bootwire.EnvMachine:
		return bootMachine()
	default:
		return nil, fmt.Errorf("boot: %s=%q is no way to start an agent", bootwire.Env, how)
	}
}
