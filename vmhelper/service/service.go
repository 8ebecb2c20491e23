package service

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/internal/descriptor"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/network"
	"github.com/arca-engine/arca/vmhelper/sandbox"
)

// maxMessage bounds what a peer may send in one message.
const maxMessage = 4 << 20

// maxGrace bounds how long a stop may wait for an agent.
const maxGrace = 5 * time.Minute

// Config is what a service is made of.
type Config struct {
	Driver      sandbox.Driver
	Network     *network.Plane
	Descriptors *descriptor.Server
	FrontendUID uint32
	OwnerUID    uint32
	VolumeRoot  string
	Version     string
	Log         hclog.Logger
}

// Service serves proto/vmhelper/v1.
type Service struct {
	vmhelperv1.UnimplementedVMHelperServer
	cfg   Config
	watch *hub
}

// New returns a service of cfg.Driver, which watches the sandboxes that run already, and whose links it attaches. Close
// ends it.
func New(ctx context.Context, cfg Config) *Service {
	s := &Service{cfg: cfg}
	s.watch = newHub(cfg.Network.Detach)
	for _, sb := range cfg.Driver.List() {
		s.watch.add(sb)
		if err := cfg.Network.Attach(ctx, sb); err != nil {
			cfg.Log.Error("attach links", "sandbox", sb.Info().ID, "error", err)
		}
	}
	return s
}

// Close ends all watches and waits for them.
func (s *Service) Close() { s.watch.close() }

// Server returns a gRPC server with the service on it, for a listener of unix sockets.
func (s *Service) Server() *grpc.Server {
	srv := grpc.NewServer(
		grpc.Creds(s.credentials()),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(1024),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
	)
	vmhelperv1.RegisterVMHelperServer(srv, s)
	vmhelperv1.RegisterNetworkServer(srv, &networkService{s: s})
	return srv
}

// Info tells the version, the driver and what it can do.
func (s *Service) Info(context.Context, *vmhelperv1.InfoRequest) (*vmhelperv1.InfoResponse, error) {
	return &vmhelperv1.InfoResponse{
		Version: s.cfg.Version, Driver: s.cfg.Driver.Name(), Features: features(s.cfg.Driver.Features()),
		OwnerUid: s.cfg.OwnerUID, VolumeRoot: s.cfg.VolumeRoot,
	}, nil
}

// CreateSandbox boots a sandbox.
func (s *Service) CreateSandbox(ctx context.Context, req *vmhelperv1.CreateSandboxRequest) (*vmhelperv1.CreateSandboxResponse, error) {
	spec, err := toSpec(req.GetSpec(), s.cfg.Driver.Features())
	if err != nil {
		return nil, err
	}
	sb, created, err := s.cfg.Driver.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.watch.add(sb)
	if err := s.cfg.Network.Attach(ctx, sb); err != nil {
		return nil, err
	}
	return &vmhelperv1.CreateSandboxResponse{Created: created, Attachments: toAttachments(sb.Attachments()), Sandbox: toSandbox(sb.Info())}, nil
}

// StopSandbox ends a sandbox.
func (s *Service) StopSandbox(ctx context.Context, req *vmhelperv1.StopSandboxRequest) (*vmhelperv1.StopSandboxResponse, error) {
	if err := checkID("sandbox", req.GetId()); err != nil {
		return nil, err
	}
	if len(req.GetBootId()) > maxBootID {
		return nil, invalid("the boot ID is too long")
	}
	grace := time.Duration(req.GetGraceMilliseconds()) * time.Millisecond
	if grace > maxGrace {
		return nil, invalid("the grace is at most %v", maxGrace)
	}
	sb, err := s.cfg.Driver.Get(req.GetId())
	if err != nil {
		if errdefs.IsNotFound(err) {
			return &vmhelperv1.StopSandboxResponse{}, nil
		}
		return nil, err
	}
	if b := req.GetBootId(); b != "" && b != sb.Info().BootID {
		return &vmhelperv1.StopSandboxResponse{}, nil
	}
	return &vmhelperv1.StopSandboxResponse{}, sb.Stop(ctx, grace)
}

// ListSandboxes tells the running sandboxes.
func (s *Service) ListSandboxes(context.Context, *vmhelperv1.ListSandboxesRequest) (*vmhelperv1.ListSandboxesResponse, error) {
	resp := &vmhelperv1.ListSandboxesResponse{}
	for _, sb := range s.cfg.Driver.List() {
		resp.Sandboxes = append(resp.Sandboxes, toSandbox(sb.Info()))
	}
	return resp, nil
}

// AddDisks attaches more to a running sandbox.
func (s *Service) AddDisks(ctx context.Context, req *vmhelperv1.AddDisksRequest) (*vmhelperv1.AddDisksResponse, error) {
	if err := checkID("sandbox", req.GetSandboxId()); err != nil {
		return nil, err
	}
	t, err := toThings(req.GetDisks(), req.GetUppers(), req.GetVolumes(), req.GetShares())
	if err != nil {
		return nil, err
	}
	f := s.cfg.Driver.Features()
	if !f.HotDisk && len(t.Disks)+len(t.Uppers)+len(t.Volumes) > 0 {
		return nil, lacks("disks cannot be added to a running sandbox")
	}
	if !f.HotShare && len(t.Shares) > 0 {
		return nil, lacks("a bind of the host cannot be added to a running sandbox")
	}
	sb, err := s.cfg.Driver.Get(req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	as, err := sb.AddDisks(ctx, t)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.AddDisksResponse{Attachments: toAttachments(as)}, nil
}

// RemoveDisks takes attachments of a running sandbox away.
func (s *Service) RemoveDisks(ctx context.Context, req *vmhelperv1.RemoveDisksRequest) (*vmhelperv1.RemoveDisksResponse, error) {
	if err := checkID("sandbox", req.GetSandboxId()); err != nil {
		return nil, err
	}
	if len(req.GetShareTags()) > maxItems {
		return nil, invalid("%d share tags", len(req.GetShareTags()))
	}
	var shares []*vmhelperv1.Share
	for _, tag := range req.GetShareTags() {
		shares = append(shares, &vmhelperv1.Share{Tag: tag, HostPath: "/"})
	}
	t, err := toThings(req.GetDisks(), req.GetUppers(), req.GetVolumes(), shares)
	if err != nil {
		return nil, err
	}
	sb, err := s.cfg.Driver.Get(req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.RemoveDisksResponse{}, sb.RemoveDisks(ctx, t)
}

// Dial opens a stream to a port of an agent.
func (s *Service) Dial(ctx context.Context, req *vmhelperv1.DialRequest) (*vmhelperv1.DialResponse, error) {
	if err := checkID("sandbox", req.GetSandboxId()); err != nil {
		return nil, err
	}
	if req.GetPort() == 0 || req.GetPort() > maxPort {
		return nil, invalid("an agent has no port %d", req.GetPort())
	}
	sb, err := s.cfg.Driver.Get(req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	conn, err := sb.Dial(ctx, req.GetPort())
	if err != nil {
		return nil, err
	}
	token, err := s.cfg.Descriptors.RegisterConn(conn)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.DialResponse{Token: token}, nil
}

// CheckBind looks at a bind source.
func (s *Service) CheckBind(ctx context.Context, req *vmhelperv1.CheckBindRequest) (*vmhelperv1.CheckBindResponse, error) {
	if err := checkPath(req.GetHostPath()); err != nil {
		return nil, err
	}
	k, err := s.cfg.Driver.CheckBind(ctx, req.GetHostPath())
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.CheckBindResponse{Kind: vmhelperv1.CheckBindResponse_Kind(k)}, nil
}

// ConnectSocket connects to a socket of the host.
func (s *Service) ConnectSocket(ctx context.Context, req *vmhelperv1.ConnectSocketRequest) (*vmhelperv1.ConnectSocketResponse, error) {
	if err := checkPath(req.GetHostPath()); err != nil {
		return nil, err
	}
	f, err := s.cfg.Driver.ConnectSocket(ctx, req.GetHostPath())
	if err != nil {
		return nil, err
	}
	token, err := s.cfg.Descriptors.Register(f)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.ConnectSocketResponse{Token: token}, nil
}

// WatchSandboxes tells what runs, and every exit.
func (s *Service) WatchSandboxes(_ *vmhelperv1.WatchSandboxesRequest, stream vmhelperv1.VMHelper_WatchSandboxesServer) error {
	w, running := s.watch.subscribe()
	defer s.watch.unsubscribe(w)
	for _, info := range running {
		if err := stream.Send(&vmhelperv1.SandboxEvent{Kind: vmhelperv1.SandboxEvent_LISTED, Sandbox: toSandbox(info)}); err != nil {
			return err
		}
	}
	if err := stream.Send(&vmhelperv1.SandboxEvent{Kind: vmhelperv1.SandboxEvent_SYNCED}); err != nil {
		return err
	}
	for {
		select {
		case e := <-w.events:
			if err := stream.Send(&vmhelperv1.SandboxEvent{Kind: vmhelperv1.SandboxEvent_EXITED, Sandbox: toSandbox(e.info), Reason: e.reason}); err != nil {
				return err
			}
		case <-w.lost:
			return fmt.Errorf("the watcher is too slow, watch again: %w", errdefs.ErrUnavailable)
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		}
	}
}
