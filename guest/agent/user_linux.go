package agent

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/rootfs"
)

// maxAccounts bounds what is read of a container's passwd or group file.
const maxAccounts = 16 << 20

// setUser resolves a user in the container's own files.
func setUser(p *specs.Process, root *rootfs.Root, name string, groups []string) error {
	dir, err := rootfs.OpenRoot(root.Path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	passwd, err := account(int(dir.Fd()), "/etc/passwd")
	if err != nil {
		return err
	}
	group, err := account(int(dir.Fd()), "/etc/group")
	if err != nil {
		return err
	}
	u, err := user.GetExecUser(name, nil, strings.NewReader(passwd), strings.NewReader(group))
	if err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	gids := []int{u.Gid}
	gids = append(gids, u.Sgids...)
	if len(groups) > 0 {
		more, err := user.GetAdditionalGroups(groups, strings.NewReader(group))
		if err != nil {
			return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
		}
		gids = append(gids, more...)
	}
	p.User.UID, p.User.GID, p.User.Username = uint32(u.Uid), uint32(u.Gid), ""
	p.User.AdditionalGids = nil
	for _, g := range append(gids, u.Uid) {
		if g < 0 || int64(g) > math.MaxUint32 {
			return fmt.Errorf("uids and gids must be in range 0-%d: %w", int64(math.MaxInt32), errdefs.ErrInvalidArgument)
		}
	}
	for _, g := range gids {
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(g))
	}
	return nil
}

// account reads a file of the container; one that is absent, or no file, is empty.
func account(root int, path string) (string, error) {
	fd, err := rootfs.OpenIn(root, path, unix.O_RDONLY|unix.O_NONBLOCK)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAccounts))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(b), nil
}

// workingDirectory makes the working directory, owned by root, as Docker does.
func workingDirectory(root *rootfs.Root, cwd string) error {
	if cwd == "" || cwd == "/" {
		return nil
	}
	dir, err := rootfs.OpenRoot(root.Path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	fd, err := rootfs.MakeDirIn(int(dir.Fd()), cwd, 0o755, 0, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("Cannot mkdir: %s is not a directory: %w", cwd, errdefs.ErrInvalidArgument) //nolint:staticcheck // runc's sentence.
	}
	if err != nil {
		return fmt.Errorf("make working directory: %w", err)
	}
	return unix.Close(fd)
}
