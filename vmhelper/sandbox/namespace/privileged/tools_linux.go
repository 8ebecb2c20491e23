package privileged

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
)

const runcSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealProgram copies a program into memory that nobody can change any more, root included: one copy for all sandboxes.
// runc sees the seals on itself and then makes no copy of its own, which it would make against CVE-2019-5736.
func sealProgram(path string) (_ *os.File, err error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("seal program: %w", err)
	}
	defer func() { _ = in.Close() }()
	name := filepath.Base(path)
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // Before Linux 6.3 all are executable.
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("seal program %s: %w", path, err)
	}
	out := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o555)
	}
	if err == nil {
		_, err = unix.FcntlInt(out.Fd(), unix.F_ADD_SEALS, runcSeals)
	}
	if err == nil {
		// A second descriptor that cannot even ask to write.
		var place *os.File
		if place, err = os.Open(procFD(fd)); err == nil {
			_ = out.Close()
			return place, nil
		}
	}
	_ = out.Close()
	return nil, fmt.Errorf("seal program %s: %w", path, err)
}

// attachTools gives the agent the programs that it runs.
func (m *Manager) attachTools(a *attached) error {
	if m.runc != nil {
		fd, err := unix.FcntlInt(m.runc.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("copy descriptor of runc: %w", err)
		}
		a.wire = append(a.wire, bootwire.Attachment{Kind: bootwire.Tool, ID: "runc", Ref: "program:/arca/bin/runc", ReadOnly: true, File: os.NewFile(uintptr(fd), "runc")})
	}
	if m.cfg.Init == "" {
		return nil
	}
	f, err := os.OpenFile(m.cfg.Init, unix.O_PATH, 0)
	if err != nil {
		return fmt.Errorf("open init: %w", err)
	}
	defer func() { _ = f.Close() }()
	mnt, err := cloneMount(f, false, true)
	if err != nil {
		return err
	}
	a.wire = append(a.wire, bootwire.Attachment{Kind: bootwire.Tool, ID: "init", Ref: "file:/arca/bin/init", ReadOnly: true, File: mnt})
	return nil
}
