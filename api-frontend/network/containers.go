package network

import (
	"context"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Containers is what this room asks of the containers.
type Containers interface {
	Reader
	// ChangeNetworking commits a change of a container's Networking map under the container's turn. f replaces the map of
	// the record that it is given (it never changes the old one in place); when f fails nothing is committed.
	ChangeNetworking(ctx context.Context, id string, f func(rec *record.Container) error) (*record.Container, error)
	// Plug makes a running container's interfaces, routes and injected files as its membership says.
	Plug(ctx context.Context, id string, m *desired.Membership) error
	// TellNames gives a running container its table of names.
	TellNames(ctx context.Context, id string, t *guestv1.NameTable) error
}

// Reader reads the records of containers.
type Reader interface {
	Records() []*record.Container
	RecordOf(ref string) (*record.Container, error)
}
