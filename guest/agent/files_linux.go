package agent

import (
	"context"

	"github.com/arca-engine/arca/internal/failpoint"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// WriteFiles implements the method of proto/guest/v1.
func (a *Agent) WriteFiles(ctx context.Context, req *guestv1.WriteFilesRequest) (*guestv1.WriteFilesResponse, error) {
	if err := failpoint.Hit("guest/files"); err != nil {
		return nil, err
	}
	if err := a.turns.Lock(ctx, req.ContainerId); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(req.ContainerId)
	if _, err := a.first(req.ContainerId); err != nil {
		return nil, err
	}
	root, err := a.roots.Get(req.ContainerId)
	if err != nil {
		return nil, err
	}
	return &guestv1.WriteFilesResponse{}, root.WriteFiles(req.Files)
}
