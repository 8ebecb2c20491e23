package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// validate checks the whole, and brings it into its normal form.
func (c *Config) validate() error {
	for _, check := range []func(*Config) error{
		checkLog, checkLabels, checkNumbers, checkRegistries, checkNames, checkModes, checkHosts, checkChoices, checkFeatures, checkNetworks,
	} {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

func checkLog(c *Config) error {
	switch strings.ToLower(c.LogLevel) {
	case "panic", "fatal", "error", "warn", "info", "debug", "trace":
	default:
		return fmt.Errorf("invalid logging level: %s", c.LogLevel)
	}
	switch c.LogDriver {
	case "json-file", "local", "none":
		return nil
	}
	return fmt.Errorf("logger: no log driver named '%s' is registered", c.LogDriver)
}

func checkLabels(c *Config) error {
	values := map[string]string{}
	for _, label := range c.Labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok {
			return fmt.Errorf("bad attribute format: %s", label)
		}
		if strings.TrimSpace(key) == "" {
			return fmt.Errorf("invalid label '%s': empty name", label)
		}
		if other, ok := values[key]; ok && other != value {
			return fmt.Errorf("conflict labels for %s=%s and %s=%s", key, value, key, other)
		}
		values[key] = value
	}
	c.Labels = nil
	for _, key := range slices.Sorted(maps.Keys(values)) {
		c.Labels = append(c.Labels, key+"="+values[key])
	}
	return nil
}

func checkNumbers(c *Config) error {
	switch {
	case c.MaxConcurrentDownloads < 0:
		return fmt.Errorf("invalid max concurrent downloads: %d", c.MaxConcurrentDownloads)
	case c.MaxConcurrentUploads < 0:
		return fmt.Errorf("invalid max concurrent uploads: %d", c.MaxConcurrentUploads)
	case c.MaxDownloadAttempts < 0:
		return fmt.Errorf("invalid max download attempts: %d", c.MaxDownloadAttempts)
	case c.ShmSize <= 0:
		return fmt.Errorf("invalid default shm size: %d", int64(c.ShmSize))
	}
	for name, limit := range c.Ulimits {
		if limit == nil || limit.Name != name {
			return fmt.Errorf("invalid default ulimit: %s must have the name %s", name, name)
		}
		if limit.Hard != -1 && limit.Soft > limit.Hard {
			return fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: %d > %d", limit.Soft, limit.Hard)
		}
	}
	return nil
}

func checkRegistries(c *Config) error {
	for i, mirror := range c.Mirrors {
		normal, err := checkMirror(mirror)
		if err != nil {
			return err
		}
		c.Mirrors[i] = normal
	}
	for _, registry := range c.InsecureRegistries {
		if _, _, err := net.ParseCIDR(registry); err == nil {
			continue
		}
		if strings.Contains(registry, "://") {
			return fmt.Errorf("insecure registry %s should not contain '://'", registry)
		}
		if registry == "" || strings.HasPrefix(registry, "-") || strings.HasSuffix(registry, "-") || strings.Contains(registry, "/") {
			return fmt.Errorf("insecure registry %s is not valid: invalid index name (%s)", registry, registry)
		}
	}
	return nil
}

func checkMirror(mirror string) (string, error) {
	u, err := url.Parse(mirror)
	switch {
	case err != nil:
		return "", fmt.Errorf("invalid mirror: %q is not a valid URI: %w", mirror, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("invalid mirror: unsupported scheme %q in %q: must use either 'https://' or 'http://'", u.Scheme, mirror)
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("invalid mirror: query or fragment at end of the URI %q", mirror)
	case u.User != nil:
		return "", fmt.Errorf("invalid mirror: username/password not allowed in URI %q", mask(mirror))
	}
	return strings.TrimSuffix(mirror, "/") + "/", nil
}

var domain = regexp.MustCompile(`^(:?(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9]))(:?\.(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])))*)\.?\s*$`)

func checkNames(c *Config) error {
	for _, server := range c.DNS {
		if _, err := netip.ParseAddr(server); err != nil {
			return fmt.Errorf("IP address is not correctly formatted: %q", server)
		}
	}
	for _, search := range c.DNSSearch {
		if strings.Trim(search, " ") != "." && (len(search) > 255 || !domain.MatchString(search)) {
			return fmt.Errorf("%s is not a valid domain", search)
		}
	}
	return nil
}

func checkModes(c *Config) error {
	switch c.CgroupnsMode {
	case "", "host", "private":
	default:
		return fmt.Errorf("default cgroup namespace mode (%v) is invalid; use \"host\" or \"private\"", c.CgroupnsMode)
	}
	switch c.IpcMode {
	case "private", "shareable":
		return nil
	}
	return fmt.Errorf("IPC mode %q is not supported as default value for new containers", c.IpcMode)
}

func checkHosts(c *Config) error {
	for _, host := range c.Hosts {
		scheme, address, ok := strings.Cut(host, "://")
		switch {
		case !ok || address == "":
			return fmt.Errorf("invalid bind address (%s): it must be unix://PATH or tcp://ADDRESS:PORT", host)
		case scheme == "unix":
		case scheme == "tcp" && !c.TLSVerify:
			return fmt.Errorf("invalid bind address (%s): TCP is served only with TLS client certificates (tlsverify)", host)
		case scheme == "tcp":
			if _, _, err := net.SplitHostPort(address); err != nil {
				return fmt.Errorf("invalid bind address (%s): %w", host, err)
			}
		default:
			return fmt.Errorf("invalid bind address (%s): scheme %s is not supported", host, scheme)
		}
	}
	if c.TLSVerify {
		c.TLS = true
		if c.TLSCACert == "" || c.TLSCert == "" || c.TLSKey == "" {
			return fmt.Errorf("tlsverify needs tlscacert, tlscert and tlskey")
		}
	}
	return nil
}

// checkChoices refuses values of directives that have one value here.
func checkChoices(c *Config) error {
	for _, opt := range c.choices.ExecOpts {
		key, value, ok := strings.Cut(opt, "=")
		switch {
		case !ok || strings.TrimSpace(key) == "" || strings.TrimSpace(value) == "":
			return fmt.Errorf("invalid exec-opt (%s): must be formatted 'opt=value'", opt)
		case key != "native.cgroupdriver":
			return fmt.Errorf("invalid exec-opt (%s): unknown option: '%s'", opt, key)
		case value != "cgroupfs":
			return fmt.Errorf("invalid exec-opt (%s): the cgroup driver is cgroupfs", opt)
		}
	}
	for _, choice := range []struct{ key, value, only string }{
		{"default-runtime", c.choices.DefaultRuntime, "runc"},
		{"storage-driver", c.choices.StorageDriver, "overlay2"},
		{"seccomp-profile", c.choices.SeccompProfile, "builtin"},
	} {
		if choice.value != "" && choice.value != choice.only {
			return refuse(choice.key, fmt.Sprintf("%s is the only value, not %q", choice.only, choice.value))
		}
	}
	if c.choices.Experimental {
		return refuse("experimental", "there are no experimental features")
	}
	return nil
}

func checkFeatures(c *Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Features)) {
		switch name {
		case "buildkit":
		case "containerd-snapshotter", "cdi", "windows-dns-proxy", "containerd-migration":
			if c.Features[name] {
				return refuse("features", name+" cannot be turned on")
			}
		default:
			return refuse("features", name+" is not known")
		}
	}
	return nil
}
