package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// maxHostFile bounds what is read of the host's resolv.conf and hosts.
const maxHostFile = 1 << 20

// specWorld is the World of one container.
func (e *Engine) specWorld(rec *record.Container) (*oci.World, error) {
	w := e.world
	w.LinkEnvironment = e.linkEnvironment(rec)
	if id := rec.HostConfig.NetworkMode.ConnectedContainer(); id != "" {
		c, err := e.Get(id)
		if err != nil {
			return nil, err
		}
		w.Networked = c.Record()
	}
	return &w, nil
}

// startInput says where the agent finds what the container needs.
func (e *Engine) startInput(rec *record.Container, w *oci.World, box *sandbox.Box, n *needs) (*oci.StartInput, error) {
	in := &oci.StartInput{
		Refs:    oci.Refs{Disks: map[string]string{}, Volumes: map[string]string{}, Shares: map[string]oci.Share{}},
		Sockets: map[string]oci.Socket{},
		Volume:  func(name string) string { return name },
	}
	var missing error
	ref := func(kind vmhelperv1.Attachment_Kind, id string) sandbox.Attachment {
		a, err := box.Attachment(kind, id)
		missing = errors.Join(missing, err)
		return a
	}
	for _, id := range rec.Layers {
		in.Refs.Disks[id] = ref(vmhelperv1.Attachment_DISK, id).Ref
	}
	in.Refs.Upper = ref(vmhelperv1.Attachment_UPPER, rec.ID).Ref
	for i, m := range rec.Mounts {
		tag := oci.ShareTag(rec, i)
		switch src := n.volumes[m.Name]; {
		case m.Type == mount.TypeVolume && src.Bind != nil:
			in.Refs.Volumes[m.Name] = ref(vmhelperv1.Attachment_SHARE, tag).Ref
		case m.Type == mount.TypeVolume:
			in.Refs.Volumes[m.Name] = ref(vmhelperv1.Attachment_VOLUME, src.ID).Ref
		case m.Type == mount.TypeBind && n.sockets[m.Destination] != "":
			in.Sockets[m.Destination] = e.socket(n.sockets[m.Destination], m.Destination)
		case m.Type == mount.TypeBind:
			a := ref(vmhelperv1.Attachment_SHARE, tag)
			in.Refs.Shares[tag] = oci.Share{Ref: a.Ref, IsDir: a.IsDir}
		}
	}
	if missing != nil {
		return nil, missing
	}
	files, err := e.filesInput(rec, e.membershipOf(rec))
	if err != nil {
		return nil, err
	}
	in.Files = oci.Files(rec, w, files)
	return in, nil
}

// filesInput is what the injected files of a container say of its networks.
func (e *Engine) filesInput(rec *record.Container, m *desired.Membership) (*oci.FilesInput, error) {
	resolv, err := hostFile("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	in := &oci.FilesInput{ResolvConf: resolv, Membership: m, Links: e.linkLines(rec)}
	if rec.HostConfig.NetworkMode.IsHost() {
		if in.Hosts, err = hostFile("/etc/hosts"); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// socket describes the listener that stands in the container for a socket of the host. Who may connect is decided by the
// mode of the host's socket, as with a bind mount; the connection itself is made with the owner's rights.
func (e *Engine) socket(path, destination string) oci.Socket {
	s := oci.Socket{ID: destination, Mode: 0o660}
	if st, err := os.Stat(path); err == nil {
		s.Mode = uint32(st.Mode().Perm())
		s.UID, s.GID = fileOwner(st)
	}
	return s
}

// hostFile reads a small file of the host; an absent one is empty.
func hostFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the host's %s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxHostFile))
}

// startRequest is what the agent is asked to run.
func (e *Engine) startRequest(rec *record.Container, r *run, n *needs) (*guestv1.StartRequest, error) {
	w, err := e.specWorld(rec)
	if err != nil {
		return nil, err
	}
	in, err := e.startInput(rec, w, r.box, n)
	if err != nil {
		return nil, err
	}
	req, err := oci.StartRequest(rec, w, in)
	if err != nil || r.membership == nil || rec.HostConfig.NetworkMode.IsHost() {
		return req, err
	}
	req.NetworkConfig = oci.NetworkConfig(rec, r.membership, w, e.fabric.MTU())
	req.Names = e.networks.Names(rec.ID)
	return req, nil
}
