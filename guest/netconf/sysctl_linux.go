package netconf

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// placeholder stands for an interface's name in a sysctl.
const placeholder = "IFNAME"

// parseSetting reads "net.ipv4.conf.IFNAME.log_martians=1".
func parseSetting(s, name string) (setting, error) {
	k, v, ok := strings.Cut(s, "=")
	parts := strings.Split(strings.ReplaceAll(k, "/", "."), ".")
	i := slices.Index(parts, placeholder)
	if !ok || i < 0 || parts[0] != "net" || slices.Contains(parts, "") {
		return setting{}, fmt.Errorf("sysctl %q", s)
	}
	parts[i] = name
	return setting{path.Join(parts...), v}, nil
}

// WriteSysctl writes a sysctl of the namespace that the thread is in. Its key has dots, as in an OCI spec.
func WriteSysctl(key, value string) error {
	file := strings.ReplaceAll(key, ".", "/")
	if clean := path.Clean("/" + file); !strings.HasPrefix(clean, "/net/") {
		return fmt.Errorf("open sysctl %s file: %w", key, unix.ENOENT)
	}
	return writeSysctl(key, file, value)
}

// writeSysctl does without the runtime's poller, which costs as much as the write.
func writeSysctl(key, file, value string) error {
	fd, err := unix.Open(path.Join("/proc/sys", path.Clean("/"+file)), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open sysctl %s file: %w", key, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("failed to write sysctl %s = %q: %w", key, value, err)
	}
	return nil
}

func readSysctl(file string) (string, error) {
	fd, err := unix.Open(path.Join("/proc/sys", path.Clean("/"+file)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, 64)
	n, err := unix.Read(fd, b)
	return strings.TrimSpace(string(b[:max(n, 0)])), err
}
