package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/arca-engine/arca/test/harness"
	"github.com/arca-engine/arca/test/peer"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == streamRole {
		if err := stream(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	only := flag.String("only", "", "take only the figures that hold this text")
	fixtures := flag.String("fixtures", "", "the built command fixtures")
	flag.StringVar(&o.compose, "compose", "", "the built Docker Compose 2")
	output := flag.String("o", "", "write the table here too")
	flag.Int64Var(&o.bytes, "bytes", 1<<30, "bytes through logs and attach")
	flag.IntVar(&o.many, "many", 100, "containers that run at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, *only, *fixtures, *output)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only, fixtures, output string) (err error) {
	if o.dir, err = os.MkdirTemp("/var/tmp", "arca-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	arca, err := harness.Start(ctx, harness.Options{Images: []string{"busybox", "big100"}, Quiet: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, arca.Stop(context.WithoutCancel(ctx))) }()
	dockerd, err := peer.StartNetworks(ctx, harness.Cache(), fixtures)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dockerd.Stop()) }()
	engines := [2]*engine{
		newEngine("Arca", arca.Home, arca.Socket(), func() []int { return []int{arca.DaemonPID("frontend")} }),
		newEngine("dockerd", filepath.Dir(dockerd.Socket()), dockerd.Socket(), dockerd.PIDs),
	}
	for _, e := range engines {
		if err := e.firstPull(ctx); err != nil {
			return err
		}
	}
	writers := []io.Writer{os.Stdout}
	if output != "" {
		f, err := os.Create(output)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		writers = append(writers, f)
	}
	return report(ctx, io.MultiWriter(writers...), o, only, engines)
}

func report(ctx context.Context, w io.Writer, o options, only string, engines [2]*engine) error {
	version, err := engines[1].docker(ctx, "version", "--format", "{{.Server.Version}}")
	if err != nil {
		return err
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s, %d CPUs, kernel %s, dockerd %s.\n\n| figure | Arca | dockerd | times better | load |\n|---|---:|---:|---:|---:|\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), strings.TrimSpace(string(kernel)), version); err != nil {
		return err
	}
	var failed error
	for _, g := range groups(o) {
		for _, f := range g.figures {
			if !strings.Contains(f.name, only) || ctx.Err() != nil {
				continue
			}
			r := take(ctx, f, engines)
			if r.err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", f.name, r.err))
			}
			if _, err := fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", f.name, show(r.values[0], f.unit), show(r.values[1], f.unit), r.ratio(), r.load); err != nil {
				return err
			}
		}
		for _, e := range engines {
			if g.clean != nil {
				failed = errors.Join(failed, g.clean(context.WithoutCancel(ctx), e))
			}
		}
	}
	return failed
}

func show(v float64, unit string) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f %s", v, unit)
	case v >= 10:
		return fmt.Sprintf("%.1f %s", v, unit)
	default:
		return fmt.Sprintf("%.2f %s", v, unit)
	}
}
