package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/internal/descriptor"
	"github.com/arca-engine/arca/internal/failpoint"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/network"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance"
	"github.com/arca-engine/arca/vmhelper/sandbox/fake"
)

// noStore keeps nothing.
type noStore struct{}

func (noStore) Put(context.Context, string, *os.File) error { return nil }
func (noStore) Get(_ context.Context, name string) (*os.File, error) {
	return nil, fmt.Errorf("%s: %w", name, errdefs.ErrNotFound)
}
func (noStore) Drop(context.Context, string) error              { return nil }
func (noStore) Names(context.Context, string) ([]string, error) { return nil, nil }

func serve(t *testing.T, d *fake.Driver, frontendUID uint32) vmhelperv1.VMHelperClient {
	t.Helper()
	return vmhelperv1.NewVMHelperClient(serveConn(t, d, frontendUID))
}

func serveConn(t *testing.T, d *fake.Driver, frontendUID uint32) *grpc.ClientConn {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	plane, err := network.New(t.Context(), noStore{}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s := New(t.Context(), Config{Driver: d, Network: plane, Descriptors: descriptor.NewServer(), FrontendUID: frontendUID, Log: hclog.NewNullLogger()})
	srv := s.Server()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	cc, err := grpc.NewClient("unix://"+sock, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Close()
		srv.Stop()
		if err := errors.Join(<-done, plane.Close()); err != nil {
			t.Error(err)
		}
		_ = d.Close()
	})
	return cc
}

func TestEveryMethodHasItsCallers(t *testing.T) {
	n := 0
	for _, desc := range []grpc.ServiceDesc{vmhelperv1.VMHelper_ServiceDesc, vmhelperv1.Network_ServiceDesc} {
		n += len(desc.Methods) + len(desc.Streams)
		for _, m := range desc.Methods {
			if methods["/"+desc.ServiceName+"/"+m.MethodName].caller != frontend {
				t.Errorf("%s is nobody's", m.MethodName)
			}
		}
	}
	if len(methods) != n {
		t.Errorf("%d methods in the table, %d in the service", len(methods), n)
	}
}

func TestAStrangerIsRefused(t *testing.T) {
	c := serve(t, fake.New(), uint32(os.Getuid())+1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.Info(ctx, &vmhelperv1.InfoRequest{}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestSpecsAreValidated(t *testing.T) {
	id := conformance.NewID()
	many := make([]string, maxItems+1)
	for i := range many {
		many[i] = conformance.NewID()
	}
	c := serve(t, fake.New(), uint32(os.Getuid()))
	for name, s := range map[string]*vmhelperv1.SandboxSpec{
		"none":           nil,
		"a path as ID":   {Id: "../../etc"},
		"capitals":       {Id: strings.ToUpper(strings.Repeat("a", 64))},
		"twice":          {Id: id, Uppers: []string{id, id}},
		"too many":       {Id: id, Uppers: many},
		"a disk's path":  {Id: id, Disks: []*vmhelperv1.Disk{{Id: "/dev/sda"}}},
		"a hidden name":  {Id: id, Volumes: []string{".hidden"}},
		"a relative one": {Id: id, Shares: []*vmhelperv1.Share{{Tag: "a", HostPath: "etc"}}},
		"not clean":      {Id: id, Shares: []*vmhelperv1.Share{{Tag: "a", HostPath: "/a/../b"}}},
		"a bad tag":      {Id: id, Shares: []*vmhelperv1.Share{{Tag: "A/b", HostPath: "/a"}}},
		"no number":      {Id: id, Cpus: math.NaN()},
		"a bad link":     {Id: id, Links: []*vmhelperv1.Link{{Name: "a/b"}}},
		"a group's MAC":  {Id: id, Links: []*vmhelperv1.Link{{Name: "a", Mac: []byte{1, 0, 0, 0, 0, 0}}}},
		"a huge MTU":     {Id: id, Links: []*vmhelperv1.Link{{Name: "a", Mtu: 1 << 20}}},
	} {
		_, err := c.CreateSandbox(t.Context(), &vmhelperv1.CreateSandboxRequest{Spec: s})
		if status.Code(err) != codes.InvalidArgument || strings.HasSuffix(status.Convert(err).Message(), "invalid argument") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.CreateSandbox(t.Context(), &vmhelperv1.CreateSandboxRequest{Spec: &vmhelperv1.SandboxSpec{Id: id, HostNetwork: true}})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a missing feature: %v", err)
	}
}

func TestWatchTellsWhatRunsAndEveryExit(t *testing.T) {
	d := fake.New()
	c := serve(t, d, uint32(os.Getuid()))
	id := conformance.NewID()
	create := func() *vmhelperv1.CreateSandboxResponse {
		r, err := c.CreateSandbox(t.Context(), &vmhelperv1.CreateSandboxRequest{Spec: &vmhelperv1.SandboxSpec{Id: id}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := create()
	if again := create(); again.Created || again.Sandbox.BootId != first.Sandbox.BootId {
		t.Error(again)
	}
	w, err := c.WatchSandboxes(t.Context(), &vmhelperv1.WatchSandboxesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(kind vmhelperv1.SandboxEvent_Kind) *vmhelperv1.SandboxEvent {
		t.Helper()
		e, err := w.Recv()
		if err != nil || e.Kind != kind {
			t.Fatal(e, err)
		}
		return e
	}
	next(vmhelperv1.SandboxEvent_LISTED)
	next(vmhelperv1.SandboxEvent_SYNCED)
	if _, err := c.StopSandbox(t.Context(), &vmhelperv1.StopSandboxRequest{Id: id, BootId: "another"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Kill(id); err != nil {
			t.Fatal(err)
		}
		if e := next(vmhelperv1.SandboxEvent_EXITED); e.Reason != "its agent was killed" {
			t.Error(e)
		}
		create()
	}
	if _, err := c.StopSandbox(t.Context(), &vmhelperv1.StopSandboxRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	next(vmhelperv1.SandboxEvent_EXITED)
}

func TestFailpointsAndPanicsAreAnswers(t *testing.T) {
	c := serve(t, fake.New(), uint32(os.Getuid()))
	if err := failpoint.Arm("vmhelper/info=1*panic;vmhelper/list-sandboxes=1*error"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = failpoint.Arm("") }()
	if _, err := c.Info(t.Context(), &vmhelperv1.InfoRequest{}); status.Code(err) != codes.Internal {
		t.Error(err)
	}
	if _, err := c.ListSandboxes(t.Context(), &vmhelperv1.ListSandboxesRequest{}); err == nil {
		t.Error("no error")
	}
	if _, err := c.Info(t.Context(), &vmhelperv1.InfoRequest{}); err != nil {
		t.Error(err)
	}
}
