package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/descriptor"
	"github.com/arca-engine/arca/internal/peercred"
	"github.com/arca-engine/arca/internal/version"
	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
	"github.com/arca-engine/arca/vmhelper/network"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/fake"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace"
	"github.com/arca-engine/arca/vmhelper/service"
)

// What a worker inherits.
const (
	keeperFD     = 3
	grpcFD       = 4
	descriptorFD = 5
)

// callGrace is how long calls may take to finish when the worker ends.
const callGrace = time.Second

func runWorker(ctx context.Context, o options) error {
	log, err := newLogger("worker", o.logLvl)
	if err != nil {
		return err
	}
	for _, fd := range []int{keeperFD, grpcFD, descriptorFD} {
		unix.CloseOnExec(fd)
	}
	conn, err := wire.New(os.NewFile(keeperFD, "keeper"))
	if err != nil {
		return err
	}
	gl, err := inherited(grpcFD)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	dl, err := inherited(descriptorFD)
	if err != nil {
		return errors.Join(err, conn.Close(), gl.Close())
	}
	driver, client, err := newDriver(ctx, o, conn, log)
	if err != nil {
		return errors.Join(err, gl.Close(), dl.Close())
	}
	plane, err := network.New(ctx, keeper.Descriptors{Client: client}, log)
	if err != nil {
		return errors.Join(err, gl.Close(), dl.Close(), driver.Close())
	}
	err = serve(ctx, o, driver, plane, client.Done(), gl, dl, log)
	select {
	case <-client.Done():
		// Without its keeper a worker can save nothing, and the next one waits for the links that this one holds: the
		// kernel lets go of them at once.
		return err
	default:
		return errors.Join(err, plane.Close(), driver.Close())
	}
}

func inherited(fd uintptr) (net.Listener, error) {
	f := os.NewFile(fd, "listener")
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("open inherited listener: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // It is the keeper's.
	return l, nil
}

func newDriver(ctx context.Context, o options, conn *wire.Conn, log hclog.Logger) (sandbox.Driver, *wire.Client, error) {
	if o.driver == "fake" {
		client := wire.NewClient(conn, func(uint16, []byte) {})
		return fake.New(), client, nil
	}
	d, err := namespace.New(ctx, conn, log)
	if err != nil {
		return nil, nil, err
	}
	return d, d.Client(), nil
}

// serve serves the frontend until ctx ends or the keeper is gone.
func serve(ctx context.Context, o options, d sandbox.Driver, plane *network.Plane, gone <-chan struct{}, gl, dl net.Listener, log hclog.Logger) error {
	descriptors := descriptor.NewServer()
	svc := service.New(ctx, service.Config{
		Driver: d, Network: plane, Descriptors: descriptors, FrontendUID: uint32(o.frontendUID), OwnerUID: uint32(o.ownerUID),
		VolumeRoot: filepath.Join(o.home, "vmhelper", "volumes"), Version: version.Get().Version, Log: log,
	})
	srv := svc.Server()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return srv.Serve(gl) })
	g.Go(func() error { return descriptors.Serve(ctx, dl, peercred.UIDs(uint32(o.frontendUID))) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-gone:
			cancel(nil)
			srv.Stop()
		}
		svc.Close() // Ends the watches, which would hold up the end of the server.
		t := time.AfterFunc(callGrace, srv.Stop)
		defer t.Stop()
		srv.GracefulStop()
		return nil
	})
	return g.Wait()
}
