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
	f.Bool("no-new-privileges", false, "set no-new-privileges by default for new containers")
	f.String("seccomp-profile", "", "path of the default seccomp profile")
	f.Int("shutdown-timeout", 15, "seconds that containers may take to end at a shutdown")
	return f
}

// given tells the flags that were given, as arguments for another command line.
func given(f *pflag.FlagSet) []string {
	var args []string
	f.Visit(func(flag *pflag.Flag) {
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
