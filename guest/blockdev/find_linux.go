package blockdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// MaxSerial is the length of a virtio block device's serial number (VIRTIO 1.2, 5.2.6).
const MaxSerial = 20

// patience bounds the wait for a disk that was just plugged in.
const patience = 5 * time.Second

// Find returns the device of the disk with this serial number, and waits a moment for one that is not there yet.
func Find(ctx context.Context, serial string) (string, error) {
	return find(ctx, "/sys/class/block", serial)
}

func find(ctx context.Context, class, serial string) (string, error) {
	if serial == "" || len(serial) > MaxSerial || strings.ContainsAny(serial, "/\n\x00") {
		return "", fmt.Errorf("serial number %q: %w", serial, errdefs.ErrInvalidArgument)
	}
	if dev, err := scan(class, serial); err != nil || dev != "" {
		return dev, err
	}
	// What appears after the socket is bound is told, so the next look misses nothing.
	events, err := listen()
	if err != nil {
		return "", err
	}
	defer func() { _ = events.Close() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		if dev, err := scan(class, serial); err != nil || dev != "" {
			return dev, err
		}
		var b [8 << 10]byte
		if _, err := events.Read(b[:]); errors.Is(err, os.ErrDeadlineExceeded) {
			return "", fmt.Errorf("the machine has no disk %s: %w", serial, errdefs.ErrNotFound)
		} else if err != nil && !errors.Is(err, unix.ENOBUFS) { // Events that were lost are made up for by the look.
			return "", fmt.Errorf("wait for disk %s: %w", serial, err)
		}
	}
}

// scan looks through the disks that there are.
func scan(class, serial string) (string, error) {
	files, err := filepath.Glob(class + "/*/serial")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil && strings.TrimSpace(string(b)) == serial {
			return "/dev/" + filepath.Base(filepath.Dir(f)), nil
		}
	}
	return "", nil
}

// listen opens a socket on which the kernel tells of devices.
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for devices: %w", err)
	}
	const kernelGroup = 1
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for devices: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}
