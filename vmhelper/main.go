// Command arca-vmhelper boots sandboxes: as the keeper, which holds what must not be lost and does what needs root, and
// as the worker, which the keeper starts and which serves everybody else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/arca-engine/arca/internal/version"
)

const usage = `usage: arca-vmhelper keeper --home DIR --owner-uid N --frontend-uid N --frontend-gid N
           --worker-uid N --worker-gid N --guest PATH [--runc PATH] [--init PATH]
           [--driver namespace|fake] [--log-level LEVEL]
       arca-vmhelper version`

// options are the flags of both roles.
type options struct {
	home                              string
	ownerUID, frontendUID, workerUID  uint
	frontendGID, workerGID            uint
	guest, runc, init, driver, logLvl string
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	var o options
	fs := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	fs.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	fs.StringVar(&o.home, "home", "", "directory of the instance")
	fs.UintVar(&o.ownerUID, "owner-uid", 0, "uid whose rights open bind sources")
	fs.UintVar(&o.frontendUID, "frontend-uid", 0, "uid that may speak to vmhelper")
	fs.UintVar(&o.frontendGID, "frontend-gid", 0, "group that may enter the directory of the sockets")
	fs.UintVar(&o.workerUID, "worker-uid", 0, "uid of the worker")
	fs.UintVar(&o.workerGID, "worker-gid", 0, "gid of the worker")
	fs.StringVar(&o.guest, "guest", "", "the agent's program")
	fs.StringVar(&o.runc, "runc", "", "the program that agents run containers with")
	fs.StringVar(&o.init, "init", "", "the program that agents run as init of a container")
	fs.StringVar(&o.driver, "driver", "namespace", "namespace or fake")
	fs.StringVar(&o.logLvl, "log-level", "info", "trace, debug, info, warn or error")
	_ = fs.Parse(os.Args[2:]) // It ends the program on an error.

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1], o); err != nil {
		fmt.Fprintf(os.Stderr, "arca-vmhelper: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, role string, o options) error {
	switch role {
	case "keeper":
		return runKeeper(ctx, o)
	case "worker":
		return runWorker(ctx, o)
	case "version":
		_, err := fmt.Fprintln(os.Stdout, version.Get().Version)
		return err
	}
	return fmt.Errorf("unknown role %q\n%s", role, usage)
}
