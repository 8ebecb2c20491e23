package initproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/number"
	"github.com/arca-engine/arca/internal/bootwire"
)

// newRoot is where the private root is built: a directory that every Linux has.
const newRoot = "/proc"

func bootNamespace(context.Context) (*World, error) {
	conn, err := bootwire.New(os.NewFile(bootwire.BootDescriptor, "boot"))
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(bootwire.ListenerDescriptor)
	req, err := conn.Receive()
	if err != nil {
		return nil, err
	}
	defer req.Close()
	if req.Type != bootwire.Boot {
		return nil, fmt.Errorf("boot: %w: the first request is %q", bootwire.ErrProtocol, req.Type)
	}
	w := &World{ID: req.Spec.ID, BootID: req.Spec.BootID, HostPID: req.Spec.HostPID, OwnNetwork: !req.Spec.HostNetwork, Cgroup: req.Spec.Cgroup.Version, boot: conn, bootSeq: req.Seq}
	if err := w.bootNamespace(req); err != nil {
		err = fmt.Errorf("boot sandbox: %w", err)
		return nil, errors.Join(err, conn.Reply(bootwire.Response{Seq: req.Seq, Error: err.Error()}))
	}
	return w, nil
}

func (w *World) bootNamespace(req *bootwire.Request) error {
	if err := raiseLimits(); err != nil {
		return err
	}
	if !req.Spec.HostPID {
		var err error
		if w.Numbers, err = number.Open("/proc"); err != nil { // Still the host's.
			return err
		}
	}
	if err := makeRoot(req.Spec); err != nil {
		return err
	}
	for i := range req.Attachments {
		if err := w.attach(&req.Attachments[i]); err != nil {
			return err
		}
	}
	if w.Runc == "" {
		return fmt.Errorf("the boot request brings no runc: %w", bootwire.ErrProtocol)
	}
	if err := cgroups(req.Spec.Cgroup); err != nil {
		return err
	}
	if !req.Spec.HostNetwork {
		if err := LoopbackUp(); err != nil {
			return err
		}
	}
	f := os.NewFile(bootwire.ListenerDescriptor, "listener")
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("open listener: %w", err)
	}
	ul, ok := l.(*net.UnixListener)
	if !ok {
		return fmt.Errorf("open listener: it is a %T: %w", l, bootwire.ErrProtocol)
	}
	ul.SetUnlinkOnClose(false)
	w.listener = newUnixMux(ul, req.Spec.AllowedUIDs)
	return nil
}

// Ready tells the driver that the agent serves, and then serves its requests until it goes.
func (w *World) Ready(ctx context.Context) error {
	if w.boot == nil {
		return nil
	}
	defer context.AfterFunc(ctx, func() { _ = w.boot.Close() })()
	if err := w.boot.Reply(bootwire.Response{Seq: w.bootSeq}); err != nil {
		return err
	}
	for {
		req, err := w.boot.Receive()
		if err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil // The driver has ended; the sandbox goes on, and is adopted by its listener.
			}
			return err
		}
		res := bootwire.Response{Seq: req.Seq}
		if err := w.change(req); err != nil {
			res.Error = err.Error()
		}
		req.Close()
		if err := w.boot.Reply(res); err != nil {
			return err
		}
	}
}

func (w *World) change(req *bootwire.Request) error {
	for i := range req.Attachments {
		f := w.attach
		if req.Type == bootwire.Remove {
			f = w.detach
		}
		if err := f(&req.Attachments[i]); err != nil {
			return err
		}
	}
	return nil
}

// attach places one attachment.
func (w *World) attach(a *bootwire.Attachment) error {
	how, path, _ := strings.Cut(a.Ref, ":")
	if how == "block" {
		dev := unix.Mkdev(a.Major, a.Minor)
		if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(dev)); err != nil && err != unix.EEXIST {
			return fmt.Errorf("make device %s: %w", path, err)
		}
		return nil
	}
	if a.File == nil || !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("attach %s %s: %w: ref %q", a.Kind, a.ID, bootwire.ErrProtocol, a.Ref)
	}
	if how == "program" {
		return w.program(a, path)
	}
	if err := makePoint(path, how == "dir"); err != nil {
		return fmt.Errorf("attach %s %s: %w", a.Kind, a.ID, err)
	}
	if err := unix.MoveMount(int(a.File.Fd()), "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach %s %s: move mount to %s: %w", a.Kind, a.ID, path, err)
	}
	if a.ReadOnly && a.Kind != bootwire.Tool {
		if err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("attach %s %s: make read-only: %w", a.Kind, a.ID, err)
		}
	}
	if a.Kind == bootwire.Tool {
		return w.tool(a.ID, path, how)
	}
	return nil
}

// program keeps a program that comes as an open file, sealed in memory, and gives it a name to start it by.
func (w *World) program(a *bootwire.Attachment, path string) error {
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", a.File.Fd()), path); err != nil {
		return fmt.Errorf("attach %s %s: %w", a.Kind, a.ID, err)
	}
	w.programs = append(w.programs, a.File)
	a.File = nil
	return w.tool(a.ID, path, "program")
}

// tool takes note of a program. One that comes in a directory is the file of its name there.
//
// Runc shows itself to containers through an overlay of the directory that it lies in, where a mount of a single file
// is not seen: so it comes sealed or in a directory, or is copied into one, which costs its size in memory.
func (w *World) tool(id, path, how string) error {
	if how == "dir" {
		path = filepath.Join(path, id)
	}
	switch id {
	case "runc":
		if how == "file" {
			const dir = "/arca/copies"
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := copyProgram(dir+"/runc", path); err != nil {
				return fmt.Errorf("copy runc: %w", err)
			}
			path = dir + "/runc"
		}
		w.Runc = path
	case "init":
		w.Init = path
	}
	return nil
}

func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (w *World) detach(a *bootwire.Attachment) error {
	how, path, _ := strings.Cut(a.Ref, ":")
	if how == "block" {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove device %s: %w", path, err)
		}
		return nil
	}
	if err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("detach %s %s: %w", a.Kind, a.ID, err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("detach %s %s: %w", a.Kind, a.ID, err)
	}
	return nil
}

func makePoint(path string, dir bool) error {
	if dir {
		return os.MkdirAll(path, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// raiseLimits lets the agent open many files: what is allowed, and more where it may allow itself more.
func raiseLimits() error {
	const files = 1 << 20
	if l := (unix.Rlimit{Cur: files, Max: files}); unix.Setrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		return nil
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
