package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Agent is what archives need of the agent of a container's sandbox.
type Agent interface {
	StatPath(ctx context.Context, in *guestv1.StatPathRequest, opts ...grpc.CallOption) (*guestv1.StatPathResponse, error)
	StreamResult(ctx context.Context, in *guestv1.StreamResultRequest, opts ...grpc.CallOption) (*guestv1.StreamResultResponse, error)
	OpenStream(ctx context.Context, req *guestv1.StreamRequest) (net.Conn, *guestv1.StreamReply, error)
}

// Containers is what archives need of the engine.
type Containers interface {
	// Record finds a container by ID, name or prefix; Docker's error when there is none.
	Record(ref string) (*record.Container, error)
	// Borrow makes the container's root reachable, by its running sandbox or by one for maintenance, until release.
	Borrow(ctx context.Context, rec *record.Container) (agent Agent, release func(), err error)
	// Publish tells an event of a container.
	Publish(id string, action events.Action, extra map[string]string)
}

// Service copies files.
type Service struct{ containers Containers }

// New makes a service.
func New(c Containers) *Service { return &Service{c} }

// fileNotFound is Docker's sentence for a path that is not there.
type fileNotFound struct{ file, container string }

func (e fileNotFound) Error() string {
	return "Could not find the file " + e.file + " in container " + e.container
}
func (fileNotFound) Unwrap() error { return errdefs.ErrNotFound }

// explain turns an agent's error about a path into Docker's.
func explain(err error, ref, name string) error {
	err = sandbox.Native(err)
	switch {
	case err == nil:
		return nil
	case errdefs.IsNotFound(err):
		return fileNotFound{name, ref}
	case errdefs.IsInvalidArgument(err), errdefs.IsUnavailable(err):
		return err
	case errdefs.IsFailedPrecondition(err):
		return errdefs.ErrInvalidArgument.WithMessage(err.Error())
	default:
		return err
	}
}

// StatPath describes a path of a container.
func (s *Service) StatPath(ctx context.Context, ref, name string) (container.PathStat, error) {
	rec, err := s.containers.Record(ref)
	if err != nil {
		return container.PathStat{}, err
	}
	agent, release, err := s.containers.Borrow(ctx, rec)
	if err != nil {
		return container.PathStat{}, err
	}
	defer release()
	resp, err := agent.StatPath(ctx, &guestv1.StatPathRequest{ContainerId: rec.ID, Path: name})
	if err != nil {
		return container.PathStat{}, explain(err, ref, name)
	}
	return pathStat(resp), nil
}

func pathStat(s *guestv1.StatPathResponse) container.PathStat {
	return container.PathStat{
		Name: s.GetName(), Size: s.GetSize(), Mode: fs.FileMode(s.GetMode()),
		Mtime: time.Unix(0, s.GetModifiedUnixNano()), LinkTarget: s.GetLinkTarget(),
	}
}

// Get opens a tar of a path. The reader fails at its end when the agent could not send all of it.
func (s *Service) Get(ctx context.Context, ref, name string) (io.ReadCloser, container.PathStat, error) {
	return s.get(ctx, ref, &guestv1.ArchiveGetStream{Path: name}, events.ActionArchivePath)
}

// Export opens a tar of all files of a container, without its mounts.
func (s *Service) Export(ctx context.Context, ref string) (io.ReadCloser, error) {
	tar, _, err := s.get(ctx, ref, &guestv1.ArchiveGetStream{Path: "/", RootOnly: true}, events.ActionExport)
	return tar, err
}

// Layer opens a tar of what differs from a container's image, as a layer of an image.
func (s *Service) Layer(ctx context.Context, ref string) (io.ReadCloser, error) {
	tar, _, err := s.get(ctx, ref, &guestv1.ArchiveGetStream{Path: "/", ChangesOnly: true}, "")
	return tar, err
}

func (s *Service) get(ctx context.Context, ref string, what *guestv1.ArchiveGetStream, done events.Action) (io.ReadCloser, container.PathStat, error) {
	rec, err := s.containers.Record(ref)
	if err != nil {
		return nil, container.PathStat{}, err
	}
	agent, release, err := s.containers.Borrow(ctx, rec)
	if err != nil {
		return nil, container.PathStat{}, err
	}
	req := &guestv1.StreamRequest{Token: sandbox.NewToken(), Request: &guestv1.StreamRequest_ArchiveGet{
		ArchiveGet: what,
	}}
	what.ContainerId = rec.ID
	conn, reply, err := agent.OpenStream(ctx, req)
	if err != nil {
		release()
		return nil, container.PathStat{}, explain(err, ref, what.Path)
	}
	if done != "" {
		s.containers.Publish(rec.ID, done, nil)
	}
	tar := &tarStream{ctx: ctx, conn: conn, agent: agent, token: req.Token, release: release}
	tar.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return tar, pathStat(reply.GetStat()), nil
}

// tarStream is a connection whose end is asked for.
type tarStream struct {
	ctx     context.Context //nolint:containedctx // Of the one request that this reader serves.
	conn    net.Conn
	agent   Agent
	token   []byte
	release func()
	stop    func() bool
}

func (t *tarStream) Read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	if errors.Is(err, io.EOF) {
		if failed := result(t.ctx, t.agent, t.token); failed != nil {
			err = fmt.Errorf("archive: %w", failed)
		}
	}
	return n, err
}

func (t *tarStream) Close() error {
	t.stop()
	defer t.release()
	return t.conn.Close()
}

// result asks how a stream ended.
func result(ctx context.Context, agent Agent, token []byte) error {
	_, err := agent.StreamResult(ctx, &guestv1.StreamResultRequest{Token: token})
	return sandbox.Native(err)
}

// PutOptions say how an archive is unpacked.
type PutOptions struct {
	// NoOverwriteDirNonDir refuses to replace a directory by something else, and the reverse.
	NoOverwriteDirNonDir bool
	// CopyUIDGID gives the files to the container's user.
	CopyUIDGID bool
}

// Put unpacks a tar, compressed or not, at a directory of a container.
func (s *Service) Put(ctx context.Context, ref, name string, o PutOptions, body io.Reader) error {
	rec, err := s.containers.Record(ref)
	if err != nil {
		return err
	}
	if err := writable(rec, name); err != nil {
		return err
	}
	agent, release, err := s.containers.Borrow(ctx, rec)
	if err != nil {
		return err
	}
	defer release()
	plain, free, err := Decompress(body)
	if err != nil {
		return err
	}
	defer free()
	req := &guestv1.StreamRequest{Token: sandbox.NewToken(), Request: &guestv1.StreamRequest_ArchivePut{
		ArchivePut: &guestv1.ArchivePutStream{
			ContainerId: rec.ID, Path: name, NoOverwriteDirNonDir: o.NoOverwriteDirNonDir, CopyUidGid: o.CopyUIDGID,
		},
	}}
	conn, _, err := agent.OpenStream(ctx, req)
	if err != nil {
		return explain(err, ref, name)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := send(conn, plain); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var input *readError
		if errors.As(err, &input) {
			return input
		}
		// The agent refused the rest: it says why.
		if failed := result(ctx, agent, req.Token); failed != nil {
			return explain(failed, ref, name)
		}
		return err
	}
	if err := result(ctx, agent, req.Token); err != nil {
		if text := err.Error(); !errdefs.IsInvalidArgument(err) && strings.HasSuffix(text, io.ErrUnexpectedEOF.Error()) { // All was sent: the archive itself stops short.
			return errdefs.ErrInvalidArgument.WithMessage("malformed archive: " + text)
		}
		return explain(err, ref, name)
	}
	s.containers.Publish(rec.ID, events.ActionExtractToDir, nil)
	return nil
}

// writable refuses paths below a read-only mount or root.
func writable(rec *record.Container, name string) error {
	name = path.Clean("/" + name)
	best, rw := "", !rec.HostConfig.ReadonlyRootfs
	for _, m := range rec.Mounts {
		if (name == m.Destination || strings.HasPrefix(name, strings.TrimSuffix(m.Destination, "/")+"/")) && len(m.Destination) >= len(best) {
			best, rw = m.Destination, m.RW
		}
	}
	switch {
	case rw:
		return nil
	case best != "":
		return errdefs.ErrInvalidArgument.WithMessage("mounted volume is marked read-only")
	default:
		return errdefs.ErrInvalidArgument.WithMessage("container rootfs is marked read-only")
	}
}
