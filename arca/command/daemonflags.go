package command

import (
	"github.com/spf13/pflag"
)

// daemonFlags are the frontend's, with dockerd's names; they are handed over as they were given.
func daemonFlags() *pflag.FlagSet {
	f := pflag.NewFlagSet("daemon", pflag.ContinueOnError)
	f.String("config-file", "", "daemon configuration file (default HOME/daemon.json)")
	f.BoolP("debug", "D", false, "enable debug mode")
	f.StringP("log-level", "l", "info", `logging level ("debug", "info", "warn", "error")`)
	f.StringArray("registry-mirror", nil, "preferred registry mirror")
	f.StringArray("insecure-registry", nil, "registry that may be spoken to without TLS, or with an unknown certificate")
	f.StringArray("label", nil, "key=value label of the daemon")
	f.Int("max-concurrent-downloads", 3, "most layers downloaded at a time per pull")
	f.Int("max-download-attempts", 5, "most attempts per download")
	f.String("log-driver", "json-file", "default log driver of containers")
	f.StringArray("log-opt", nil, "default log driver options of containers")
	f.StringArray("default-ulimit", nil, "default ulimits of containers")
	f.String("default-shm-size", "64M", "default shm size of containers")
	f.String("default-cgroupns-mode", "", `default mode of containers' cgroup namespace ("host", "private")`)
	f.String("default-ipc-mode", "private", `default mode of containers' ipc ("shareable", "private")`)
	f.Bool("init", false, "run an init in containers to forward signals and reap processes")
	f.StringArrayP("host", "H", nil, "further socket to listen on (unix://..., or tcp://... with TLS)")
	f.Bool("tlsverify", false, "use TLS and verify the remote")
	f.String("tlscacert", "", "trust certificates signed only by this CA")
	f.String("tlscert", "", "TLS certificate file")
	f.String("tlskey", "", "TLS key file")
	f.StringArray("dns", nil, "DNS server to use")
	f.StringArray("dns-opt", nil, "DNS options to use")
	f.StringArray("dns-search", nil, "DNS search domains to use")
	f.String("http-proxy", "", "proxy for outgoing HTTP")
	f.String("https-proxy", "", "proxy for outgoing HTTPS")
	f.String("no-proxy", "", "hosts for which the proxy is skipped, separated by commas")
	f.Int("max-concurrent-uploads", 5, "most layers uploaded at a time per push")
	f.String("seccomp-profile", "", "path of the default seccomp profile")
	f.Int("shutdown-timeout", 15, "seconds that containers may take to end at a shutdown")
	return f
}

// given tells the flags that were given, as arguments for another command line.
func given(f *pflag.FlagSet) []string {
	var args []string
	// The flags are parsed as part of a command's set, so that this set's own Visit would see none.
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed {
			return
		}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			for _, v := range list.GetSlice() {
				args = append(args, "--"+flag.Name+"="+v)
			}
			return
		}
		args = append(args, "--"+flag.Name+"="+flag.Value.String())
	})
	return args
}
