package sandbox

import (
	"context"
	"net"
	"os"
	"time"
)

// Driver boots sandboxes. The package's documentation is its contract.
type Driver interface {
	Name() string // for display alone.
	Features() Features

	Create(ctx context.Context, spec Spec) (sb Sandbox, created bool, err error)
	Get(id string) (Sandbox, error) // ErrNotFound when it does not run.
	List() []Sandbox

	Stores
	Host

	Close() error
}

// Sandbox is one boot of a sandbox.
type Sandbox interface {
	Info() Info
	Attachments() []Attachment
	Dial(ctx context.Context, port uint32) (net.Conn, error)
	AddDisks(ctx context.Context, t Things) ([]Attachment, error)
	RemoveDisks(ctx context.Context, t Things) error
	Link(ctx context.Context, name string) (*Link, error)
	Links() []LinkSpec
	AddLink(ctx context.Context, l LinkSpec) error
	RemoveLink(ctx context.Context, name string) error
	Stop(ctx context.Context, grace time.Duration) error
	Done() <-chan struct{}
	Reason() string
}

// Stores are the writable layers, the volumes, and the hold on read-only disks.
type Stores interface {
	RemoveUpper(ctx context.Context, id string) error
	UsageUpper(ctx context.Context, id string) (uint64, error)
	CreateVolume(ctx context.Context, id string) error
	RemoveVolume(ctx context.Context, id string) error
	UsageVolume(ctx context.Context, id string) (uint64, error)
	ListStores(ctx context.Context) (uppers, volumes []string, err error)
	// ReleaseDisk lets go of a disk so that its file may be deleted; ErrFailedPrecondition while a sandbox uses it.
	ReleaseDisk(ctx context.Context, id string) error
}

// Host is the host's file system, seen with the rights of the instance's owner.
type Host interface {
	CheckBind(ctx context.Context, path string) (BindKind, error)
	ConnectSocket(ctx context.Context, path string) (*os.File, error)
}
