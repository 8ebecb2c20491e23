// Command peer runs a command line beside a reference dockerd with networks, in its network namespace; DOCKER_HOST and
// ARCA_PEER name the daemon's socket there: peer -fixtures PROGRAM -cache DIR COMMAND [ARGUMENT...].
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/arca-engine/arca/test/peer"
)

func main() {
	fixtures := flag.String("fixtures", "", "the built command fixtures")
	cache := flag.String("cache", "", "where dockerd and the images are kept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *fixtures, *cache, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, fixtures, cache string, args []string) (err error) {
	if len(args) == 0 {
		return errors.New("say which command to run")
	}
	d, err := peer.StartNetworks(ctx, cache, fixtures)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	cmd := d.Enter(ctx, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+d.Socket(), "ARCA_PEER="+d.Socket())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
