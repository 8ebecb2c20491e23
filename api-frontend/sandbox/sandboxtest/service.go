package sandboxtest

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Info implements the API.
func (h *Helper) Info(context.Context, *vmhelperv1.InfoRequest) (*vmhelperv1.InfoResponse, error) {
	return &vmhelperv1.InfoResponse{Version: "test", Driver: "fake", VolumeRoot: "/volumes", Features: &vmhelperv1.Features{
		HotDisk: true, HotShare: true, HotLink: true, HostNetwork: true, HostPid: true, HostIpc: true, HostUts: true, SharedVolumes: true,
	}}, nil
}

// CreateSandbox implements the API.
func (h *Helper) CreateSandbox(_ context.Context, req *vmhelperv1.CreateSandboxRequest) (*vmhelperv1.CreateSandboxResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	spec := req.Spec
	b := h.boxes[spec.Id]
	created := b == nil
	if created {
		b = newBox(h, spec.Id, h.bootID(), spec.Links)
		h.boxes[spec.Id] = b
		b.attach(spec.Disks, spec.Uppers, spec.Volumes, spec.Shares)
		for _, u := range spec.Uppers {
			h.uppers[u] = true
		}
	}
	return &vmhelperv1.CreateSandboxResponse{Created: created, Sandbox: b.info(), Attachments: slices.Collect(maps.Values(b.attached))}, nil
}

// StopSandbox implements the API.
func (h *Helper) StopSandbox(_ context.Context, req *vmhelperv1.StopSandboxRequest) (*vmhelperv1.StopSandboxResponse, error) {
	if b := h.Box(req.Id); b != nil && (req.BootId == "" || req.BootId == b.boot) {
		h.end(b, "it was stopped")
	}
	return &vmhelperv1.StopSandboxResponse{}, nil
}

// ListSandboxes implements the API.
func (h *Helper) ListSandboxes(context.Context, *vmhelperv1.ListSandboxesRequest) (*vmhelperv1.ListSandboxesResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	resp := &vmhelperv1.ListSandboxesResponse{}
	for _, b := range h.boxes {
		resp.Sandboxes = append(resp.Sandboxes, b.info())
	}
	return resp, nil
}

// WatchSandboxes implements the API.
func (h *Helper) WatchSandboxes(_ *vmhelperv1.WatchSandboxesRequest, stream vmhelperv1.VMHelper_WatchSandboxesServer) error {
	w := make(chan *vmhelperv1.SandboxEvent, 10_000)
	h.mu.Lock()
	for _, b := range h.boxes {
		w <- &vmhelperv1.SandboxEvent{Kind: vmhelperv1.SandboxEvent_LISTED, Sandbox: b.info()}
	}
	w <- &vmhelperv1.SandboxEvent{Kind: vmhelperv1.SandboxEvent_SYNCED}
	h.watchers[w] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.watchers, w)
		h.mu.Unlock()
	}()
	for {
		select {
		case ev := <-w:
			if err := stream.Send(ev); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// AddDisks implements the API.
func (h *Helper) AddDisks(_ context.Context, req *vmhelperv1.AddDisksRequest) (*vmhelperv1.AddDisksResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.boxes[req.SandboxId]
	if b == nil {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	b.attach(req.Disks, req.Uppers, req.Volumes, req.Shares)
	for _, u := range req.Uppers {
		h.uppers[u] = true
	}
	return &vmhelperv1.AddDisksResponse{Attachments: slices.Collect(maps.Values(b.attached))}, nil
}

// RemoveDisks implements the API.
func (h *Helper) RemoveDisks(_ context.Context, req *vmhelperv1.RemoveDisksRequest) (*vmhelperv1.RemoveDisksResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.boxes[req.SandboxId]; b != nil {
		for _, u := range req.Uppers {
			delete(b.attached, "upper "+u)
		}
	}
	return &vmhelperv1.RemoveDisksResponse{}, nil
}

// Dial implements the API.
func (h *Helper) Dial(ctx context.Context, req *vmhelperv1.DialRequest) (*vmhelperv1.DialResponse, error) {
	b := h.Box(req.SandboxId)
	if b == nil {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", b.socket(req.Port))
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	h.mu.Lock()
	tokens := h.tokens
	h.mu.Unlock()
	token, err := tokens.RegisterConn(c)
	return &vmhelperv1.DialResponse{Token: token}, err
}

// CheckBind implements the API.
func (h *Helper) CheckBind(_ context.Context, req *vmhelperv1.CheckBindRequest) (*vmhelperv1.CheckBindResponse, error) {
	kind := vmhelperv1.CheckBindResponse_DIRECTORY
	if st, err := os.Stat(req.HostPath); err != nil {
		kind = vmhelperv1.CheckBindResponse_ABSENT
	} else if st.Mode()&os.ModeSocket != 0 {
		kind = vmhelperv1.CheckBindResponse_SOCKET
	}
	return &vmhelperv1.CheckBindResponse{Kind: kind}, nil
}

// RemoveUpper implements the API.
func (h *Helper) RemoveUpper(_ context.Context, req *vmhelperv1.RemoveUpperRequest) (*vmhelperv1.RemoveUpperResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.boxes {
		if b.attached["upper "+req.Id] != nil {
			return nil, status.Errorf(codes.FailedPrecondition, "writable layer %s is in use by sandbox %s", req.Id, b.id)
		}
	}
	delete(h.uppers, req.Id)
	return &vmhelperv1.RemoveUpperResponse{}, nil
}

// UsageUpper implements the API.
func (h *Helper) UsageUpper(context.Context, *vmhelperv1.UsageUpperRequest) (*vmhelperv1.UsageUpperResponse, error) {
	return &vmhelperv1.UsageUpperResponse{Bytes: 4096}, nil
}

// CreateVolume implements the API.
func (h *Helper) CreateVolume(_ context.Context, req *vmhelperv1.CreateVolumeRequest) (*vmhelperv1.CreateVolumeResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.volumes[req.Id] = true
	return &vmhelperv1.CreateVolumeResponse{}, nil
}

// RemoveVolume implements the API.
func (h *Helper) RemoveVolume(_ context.Context, req *vmhelperv1.RemoveVolumeRequest) (*vmhelperv1.RemoveVolumeResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.volumes, req.Id)
	return &vmhelperv1.RemoveVolumeResponse{}, nil
}

// ListStores implements the API.
func (h *Helper) ListStores(context.Context, *vmhelperv1.ListStoresRequest) (*vmhelperv1.ListStoresResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &vmhelperv1.ListStoresResponse{Uppers: slices.Collect(maps.Keys(h.uppers)), Volumes: slices.Collect(maps.Keys(h.volumes))}, nil
}
