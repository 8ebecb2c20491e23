package service

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/internal/peercred"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// caller says who may call a method.
type caller int

const frontend caller = 1

// methods names the callers of every method; one that is missing is refused. The values are the failpoints, those of
// calls of one answer with a second one, /answer, after their work.
var methods = map[string]struct {
	caller caller
	point  string
}{
	vmhelperv1.VMHelper_Info_FullMethodName:           {frontend, "vmhelper/info"},
	vmhelperv1.VMHelper_CreateSandbox_FullMethodName:  {frontend, "vmhelper/create-sandbox"},
	vmhelperv1.VMHelper_StopSandbox_FullMethodName:    {frontend, "vmhelper/stop-sandbox"},
	vmhelperv1.VMHelper_ListSandboxes_FullMethodName:  {frontend, "vmhelper/list-sandboxes"},
	vmhelperv1.VMHelper_WatchSandboxes_FullMethodName: {frontend, "vmhelper/watch-sandboxes"},
	vmhelperv1.VMHelper_AddDisks_FullMethodName:       {frontend, "vmhelper/add-disks"},
	vmhelperv1.VMHelper_RemoveDisks_FullMethodName:    {frontend, "vmhelper/remove-disks"},
	vmhelperv1.VMHelper_Dial_FullMethodName:           {frontend, "vmhelper/dial"},
	vmhelperv1.VMHelper_CheckBind_FullMethodName:      {frontend, "vmhelper/check-bind"},
	vmhelperv1.VMHelper_ConnectSocket_FullMethodName:  {frontend, "vmhelper/connect-socket"},
	vmhelperv1.VMHelper_RemoveUpper_FullMethodName:    {frontend, "vmhelper/remove-upper"},
	vmhelperv1.VMHelper_UsageUpper_FullMethodName:     {frontend, "vmhelper/usage-upper"},
	vmhelperv1.VMHelper_CreateVolume_FullMethodName:   {frontend, "vmhelper/create-volume"},
	vmhelperv1.VMHelper_RemoveVolume_FullMethodName:   {frontend, "vmhelper/remove-volume"},
	vmhelperv1.VMHelper_UsageVolume_FullMethodName:    {frontend, "vmhelper/usage-volume"},
	vmhelperv1.VMHelper_ListStores_FullMethodName:     {frontend, "vmhelper/list-stores"},
	vmhelperv1.VMHelper_ReleaseDisk_FullMethodName:    {frontend, "vmhelper/release-disk"},

	vmhelperv1.Network_AddLink_FullMethodName:       {frontend, "vmhelper/add-link"},
	vmhelperv1.Network_RemoveLink_FullMethodName:    {frontend, "vmhelper/remove-link"},
	vmhelperv1.Network_SyncTable_FullMethodName:     {frontend, "vmhelper/sync-table"},
	vmhelperv1.Network_ChangeTable_FullMethodName:   {frontend, "vmhelper/change-table"},
	vmhelperv1.Network_Counters_FullMethodName:      {frontend, "vmhelper/counters"},
	vmhelperv1.Network_SetUplink_FullMethodName:     {frontend, "vmhelper/set-uplink"},
	vmhelperv1.Network_Publish_FullMethodName:       {frontend, "vmhelper/publish"},
	vmhelperv1.Network_Unpublish_FullMethodName:     {frontend, "vmhelper/unpublish"},
	vmhelperv1.Network_ListPublished_FullMethodName: {frontend, "vmhelper/list-published"},
}

// credentials let only the frontend's uid connect.
func (s *Service) credentials() credentials.TransportCredentials {
	return peercred.Credentials(peercred.UIDs(s.cfg.FrontendUID))
}

// admit authorises a call, and is where it can be made to fail.
func (s *Service) admit(ctx context.Context, method string) error {
	m, ok := methods[method]
	if !ok {
		return fmt.Errorf("method %s is nobody's: %w", method, errdefs.ErrPermissionDenied)
	}
	p, err := peercred.FromContext(ctx)
	if err != nil {
		return err
	}
	if m.caller != frontend || p.UID != s.cfg.FrontendUID {
		return fmt.Errorf("uid %d may not call %s: %w", p.UID, method, errdefs.ErrPermissionDenied)
	}
	return failpoint.Hit(m.point)
}

func (s *Service) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	defer s.edge(info.FullMethod, &err)
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	resp, err = h(ctx, req)
	if err == nil {
		err = failpoint.Hit(methods[info.FullMethod].point + "/answer")
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (s *Service) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	defer s.edge(info.FullMethod, &err)
	if err := s.admit(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return h(srv, ss)
}

// edge is the one place where errors, and panics, become those of gRPC.
func (s *Service) edge(method string, err *error) {
	if r := recover(); r != nil {
		s.cfg.Log.Error("call panicked", "method", method, "panic", r, "stack", string(debug.Stack()))
		*err = fmt.Errorf("%s failed within vmhelper: %w", method, errdefs.ErrInternal)
	}
	if *err == nil {
		return
	}
	s.cfg.Log.Debug("call failed", "method", method, "error", *err)
	if _, ok := status.FromError(*err); !ok {
		*err = sentence(errgrpc.ToGRPC(*err))
	}
}

// sentence leaves the class out of the text: the code tells it.
func sentence(err error) error {
	st := status.Convert(err)
	text := st.Message()
	for _, class := range []error{
		errdefs.ErrUnknown, errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrAlreadyExists, errdefs.ErrPermissionDenied,
		errdefs.ErrResourceExhausted, errdefs.ErrFailedPrecondition, errdefs.ErrUnavailable, errdefs.ErrNotImplemented, errdefs.ErrInternal,
	} {
		text = strings.ReplaceAll(strings.TrimSuffix(text, ": "+class.Error()), ": "+class.Error()+"\n", "\n")
	}
	return status.Error(st.Code(), text)
}
