package peercred

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func TestGRPCKnowsThePeerOrRefusesIt(t *testing.T) {
	defer goleak.VerifyNone(t)
	me := uint32(os.Getuid())
	for name, tc := range map[string]struct {
		allow Allow
		code  codes.Code
	}{
		"allowed": {UIDs(me), codes.OK},
		"refused": {UIDs(me + 1), codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			sock := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", sock)
			if err != nil {
				t.Fatal(err)
			}
			var seen Peer
			srv := grpc.NewServer(grpc.Creds(Credentials(tc.allow)), grpc.UnaryInterceptor(
				func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
					if seen, err = FromContext(ctx); err != nil {
						return nil, err
					}
					return h(ctx, req)
				}))
			healthpb.RegisterHealthServer(srv, health.NewServer())
			done := make(chan error, 1)
			go func() { done <- srv.Serve(l) }()
			cc, err := grpc.NewClient("unix://"+sock, grpc.WithTransportCredentials(Credentials(UIDs(me))))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err = healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
			if status.Code(err) != tc.code {
				t.Errorf("got %v", err)
			}
			if err == nil && (seen.UID != me || seen.PID != int32(os.Getpid())) {
				t.Errorf("saw %+v", seen)
			}
			_ = cc.Close()
			srv.Stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestListenerDropsTheRefused(t *testing.T) {
	defer goleak.VerifyNone(t)
	sock := filepath.Join(t.TempDir(), "s")
	inner, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	l := &Listener{Listener: inner, Allow: UIDs(uint32(os.Getuid()) + 1), Refused: func(err error) { refused <- err }}
	done := make(chan error, 1)
	go func() { _, err := l.Accept(); done <- err }()
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read from a refusing listener")
	}
	_ = c.Close()
	if err := <-refused; !errdefs.IsPermissionDenied(err) {
		t.Error(err)
	}
	_ = l.Close()
	if err := <-done; err == nil {
		t.Error("accepted")
	}
}

func TestUnknownCallerIsUnauthenticated(t *testing.T) {
	if _, err := FromContext(t.Context()); !errdefs.IsUnauthorized(err) {
		t.Fatal(err)
	}
}
