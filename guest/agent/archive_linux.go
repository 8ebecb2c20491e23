package agent

import (
	"context"
	"net"

	"github.com/containerd/errdefs"
	"github.com/moby/go-archive"
	"github.com/opencontainers/runtime-spec/specs-go"

	guestarchive "github.com/arca-engine/arca/guest/archive"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// StatPath implements the method of proto/guest/v1.
func (a *Agent) StatPath(_ context.Context, req *guestv1.StatPathRequest) (*guestv1.StatPathResponse, error) {
	root, err := a.roots.Get(req.ContainerId)
	if err != nil {
		return nil, err
	}
	return guestarchive.Stat(root, req.Path)
}

// Changes implements the method of proto/guest/v1.
func (a *Agent) Changes(_ context.Context, req *guestv1.ChangesRequest) (*guestv1.ChangesResponse, error) {
	root, err := a.roots.Get(req.ContainerId)
	if err != nil {
		return nil, err
	}
	list, err := guestarchive.Changes(root)
	return &guestv1.ChangesResponse{Changes: list}, err
}

func (a *Agent) archiveGet(req *guestv1.ArchiveGetStream, conn net.Conn, reply *guestv1.StreamReply) (func() error, error) {
	root, err := a.roots.Get(req.ContainerId)
	if err != nil {
		return nil, err
	}
	if req.ChangesOnly {
		return func() error { return guestarchive.Layer(root, conn) }, nil
	}
	if req.RootOnly {
		return func() error { return guestarchive.Export(root, conn) }, nil
	}
	if reply.Stat, err = guestarchive.Stat(root, req.Path); err != nil {
		return nil, err
	}
	return func() error { return guestarchive.Get(root, req.Path, conn) }, nil
}

func (a *Agent) archivePut(req *guestv1.ArchivePutStream, conn net.Conn) (func() error, error) {
	root, err := a.roots.Get(req.ContainerId)
	if err != nil {
		return nil, err
	}
	o := guestarchive.PutOptions{NoOverwriteDirNonDir: req.NoOverwriteDirNonDir}
	c, err := a.lookup(req.ContainerId)
	if err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}
	user := req.User
	if err == nil {
		o.ReadOnly = c.readOnly
	}
	if req.CopyUidGid && user != "" {
		var p specs.Process
		if err := setUser(&p, root, user, nil); err != nil {
			return nil, err
		}
		o.Owner = &archive.ChownOpts{UID: int(p.User.UID), GID: int(p.User.GID)}
	}
	o.ReadOnly = o.ReadOnly || req.ReadOnly
	if err := guestarchive.Check(root, req.Path, o.ReadOnly); err != nil {
		return nil, err
	}
	return func() error { return guestarchive.Put(root, req.Path, conn, o) }, nil
}
