package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/helpervm/control"
	"github.com/arca-engine/arca/helpervm/daemon"
	"github.com/arca-engine/arca/helpervm/dns"
	"github.com/arca-engine/arca/helpervm/layer3"
	"github.com/arca-engine/arca/helpervm/ovn"
	"github.com/arca-engine/arca/helpervm/supervise"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// socketPath is where the frontend finds the control API, through the agent.
const socketPath = "/run/arca/control.sock"

// maxMessage bounds a message of the API: Resync holds everything.
const maxMessage = 64 << 20

type config struct {
	socket, run, dnsPort, level string
}

func parse(args []string) (config, error) {
	var c config
	flags := pflag.NewFlagSet("arca-network", pflag.ContinueOnError)
	flags.StringVar(&c.socket, "socket", socketPath, "unix socket of the control API")
	flags.StringVar(&c.run, "run", "/run/arca/ovs", "directory of the daemons' sockets and databases")
	flags.StringVar(&c.dnsPort, "dns-port", "53", "port where queries for names are answered")
	flags.StringVar(&c.level, "log-level", "info", "trace, debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if hclog.LevelFromString(c.level) == hclog.NoLevel {
		return c, fmt.Errorf("log level %q is unknown", c.level)
	}
	return c, nil
}

func run(args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	debug.SetGCPercent(50) // It waits much more than it works.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := hclog.New(&hclog.LoggerOptions{Name: "network", Level: hclog.LevelFromString(c.level), Output: os.Stderr})
	return serve(ctx, log, c)
}

func serve(ctx context.Context, log hclog.Logger, c config) error {
	layout := daemon.Layout{Run: c.run}
	if err := layout.Clean(); err != nil {
		return err
	}
	kernel, err := layer3.New(log.Named("layer3"))
	if err != nil {
		return err
	}
	sockets, err := dns.Listen(ctx, c.dnsPort)
	if err != nil {
		return err
	}
	defer sockets.Close()
	listener, err := listen(ctx, c.socket)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()

	forwarder := dns.NewForwarder()
	switching := ovn.New(log.Named("ovn"), layout.Endpoint())
	daemons := supervise.New(log.Named("daemons"), layout.Children(switching.Configured)...)
	h := &health{daemons: daemons, ovn: switching, kernel: kernel, databases: daemon.NewCompactor(layout)}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	networkv1.RegisterControlServer(server, control.New(log.Named("control"), switching, kernel, forwarder, h))

	// The daemons end last: what speaks to them has ended by then.
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return daemons.Run(ctx) })
	g.Go(func() error { return switching.Run(ctx) })
	g.Go(func() error { return kernel.Run(ctx) })
	g.Go(func() error { return ended(ctx, sockets.Run(ctx, forwarder)) })
	g.Go(func() error { return h.watch(ctx, log) })
	g.Go(func() error {
		<-ctx.Done()
		server.Stop()
		return nil
	})
	g.Go(func() error { return server.Serve(listener) })
	log.Info("the control API is served", "socket", c.socket)
	return g.Wait()
}

// ended takes an end that was asked for as no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listen opens the API's socket, for root alone. One that an earlier process left is replaced.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the control API: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("protect the socket: %w", err)
	}
	return l, nil
}

// health tells of the daemons and of the parts of this process.
type health struct {
	daemons *supervise.Supervisor
	ovn     *ovn.Plane
	kernel  *layer3.Plane

	databases *daemon.Compactor
}

// Parts implements control.Health.
func (h *health) Parts(ctx context.Context) []control.Part {
	var parts []control.Part
	for _, d := range h.daemons.Status() {
		p := control.Part{Name: d.Name, Problem: d.Problem, Restarts: d.Restarts}
		if p.Problem == "" {
			p.Problem, _ = h.ovn.Problem(ctx, d.Name)
		}
		parts = append(parts, p)
	}
	return append(parts, control.Part{Name: "nftables", Problem: h.kernel.Problem()}, control.Part{Name: "dns"})
}

// watch restarts daemons that hang, and keeps their databases small. Of several daemons that owe an answer only the first is the cause: the others wait for it.
func (h *health) watch(ctx context.Context, log hclog.Logger) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := h.databases.Compact(ctx); err != nil {
			log.Warn("a database stays big", "error", err)
		}
		for _, d := range h.daemons.Status() {
			if d.PID == 0 || time.Since(d.Since) < ovn.AnswerLimit {
				break
			}
			problem, since := h.ovn.Problem(ctx, d.Name)
			if problem == "" {
				continue
			}
			if !since.IsZero() && time.Since(since) > ovn.AnswerLimit {
				log.Error("a daemon hangs and is restarted", "daemon", d.Name, "problem", problem)
				h.daemons.Restart(d.Name)
				break
			}
		}
	}
}
