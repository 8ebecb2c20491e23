package privileged

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

// record is what the next keeper must know to adopt a sandbox. It is worthless after a reboot, so it is written by
// rename but never synced.
type record struct {
	Description Description
	StartTime   uint64 // of the agent's process, in ticks.
	MachineBoot string
	Groups      []string
}

// Wire lists the fields.
func (r *record) Wire(c *wire.Codec) {
	r.Description.Wire(c)
	c.Uint64(&r.StartTime)
	c.String(&r.MachineBoot, 64)
	c.Strings(&r.Groups, 32, maxPath)
}

const recordName, recordTemp = "record", "record.new"

func (r *record) write(dir *os.File) error {
	b, err := wire.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	fd, err := unix.Openat(int(dir.Fd()), recordTemp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	f := os.NewFile(uintptr(fd), recordTemp)
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.Renameat(int(dir.Fd()), recordTemp, int(dir.Fd()), recordName)
	}
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

func readRecord(dir *os.File) (*record, error) {
	fd, err := unix.Openat(int(dir.Fd()), recordName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	f := os.NewFile(uintptr(fd), recordName)
	defer func() { _ = f.Close() }()
	b := make([]byte, wire.MaxPacket)
	n, err := f.Read(b)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	r := &record{}
	if err := wire.Unmarshal(b[:n], r); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	if checkID("sandbox", r.Description.ID) != nil {
		return nil, errors.New("read record: it names no sandbox")
	}
	return r, nil
}

func machineBoot() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the machine's boot ID: %w", err)
	}
	return string(bytes.TrimSpace(b)), nil
}
