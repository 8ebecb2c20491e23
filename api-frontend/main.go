// Command arca-frontend serves the Docker Engine API of one instance. It needs no privilege.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/arca-engine/arca/api-frontend/daemon"
	"github.com/arca-engine/arca/internal/trim"
	"github.com/arca-engine/arca/internal/version"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "arca-frontend:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("arca-frontend", pflag.ContinueOnError)
	home := flags.String("home", "", "directory of the instance")
	helperImage := flags.String("helper-image", "", "archive of the helper's image")
	showVersion := flags.BoolP("version", "v", false, "print the version and quit")
	configured := config.Bind(flags, filepath.Join(homeOf(args), "daemon.json"))
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	if *showVersion {
		v := version.Get()
		_, err := fmt.Fprintf(os.Stdout, "arca-frontend version %s, build %s\n", v.Version, v.Commit)
		return err
	}
	if *home == "" || !filepath.IsAbs(*home) {
		return fmt.Errorf("--home must name the directory of the instance, absolutely: it is %q", *home)
	}
	if err := confine(); err != nil {
		return err
	}
	cfg, err := configured.Load()
	if err != nil {
		return err
	}
	if err := setProxies(cfg); err != nil {
		return err
	}
	level := hclog.LevelFromString(cfg.LogLevel)
	if cfg.Debug {
		level = hclog.Debug
	}
	// The engine's working set is small and its garbage short-lived: a tighter collector keeps an idle frontend small.
	debug.SetGCPercent(50)
	log := hclog.New(&hclog.LoggerOptions{Name: "arca-frontend", Level: level, Output: os.Stderr})
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var trimming sync.WaitGroup
	defer trimming.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	trimming.Go(func() { trim.Run(ctx, trim.Quiet) })
	return daemon.Run(ctx, daemon.Options{Home: filepath.Clean(*home), HelperImage: *helperImage, Config: cfg, Log: log})
}

// setProxies puts the configured proxies where every HTTP client of the process looks for them.
func setProxies(cfg *config.Config) error {
	for name, value := range map[string]string{"HTTP_PROXY": cfg.HTTPProxy, "HTTPS_PROXY": cfg.HTTPSProxy, "NO_PROXY": cfg.NoProxy} {
		if value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// homeOf finds --home before the flags are parsed: the default of --config-file depends on it.
func homeOf(args []string) string {
	probe := pflag.NewFlagSet("", pflag.ContinueOnError)
	probe.ParseErrorsAllowlist.UnknownFlags = true
	probe.Usage = func() {}
	home := probe.String("home", "", "")
	_ = probe.Parse(args) // What is wrong with the flags is said by the real parse.
	return *home
}
