// Command arca starts, stops and explains an instance of Arca.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/arca-engine/arca/arca/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
