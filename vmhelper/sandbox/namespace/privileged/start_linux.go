package privileged

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/keeper/child"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

const (
	socketName = "agent.sock"
	logName    = "agent.log"
	sendLimit  = 5 * time.Second // how long an agent may leave a request unread.
)

func bootPrefix(id string) string { return keeper.Reserved + id + "/" }

func instanceName(home string) string {
	sum := sha256.Sum256([]byte(home))
	return hex.EncodeToString(sum[:6])
}

// start starts a sandbox and sends its agent the boot request; the worker waits for the answer.
func (m *Manager) start(ctx context.Context, req *Start) (_ wire.Message, err error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	if err := m.locks.Lock(ctx, req.ID); err != nil {
		return nil, err
	}
	defer m.locks.Unlock(req.ID)
	if m.box(req.ID) != nil {
		return nil, fmt.Errorf("sandbox %s runs: %w", req.ID, errdefs.ErrAlreadyExists)
	}
	b, err := m.launch(req)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer func() { // A panic counts too: nobody knows of this sandbox yet.
		if !b.isShown() {
			err = errors.Join(err, m.giveUp(b))
		}
	}()
	if err := m.equip(b, req); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	if err := failpoint.Hit("sandbox/started"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.shown = true
	b.mu.Unlock()
	d := b.description()
	return &d, nil
}

// giveUp ends a sandbox whose start failed and waits until nothing of it is left.
func (m *Manager) giveUp(b *box) error {
	err := b.kill("it could not be started")
	<-b.done
	return err
}

// launch makes the directory and groups of a sandbox and starts its agent, which waits for its boot request.
func (m *Manager) launch(req *Start) (*box, error) {
	b := &box{m: m, id: req.ID, bootID: req.BootID, done: make(chan struct{})}
	if err := unix.Mkdirat(int(m.sandboxes.Fd()), req.ID, 0o700); err != nil {
		return nil, classify(&os.PathError{Op: "mkdir", Path: req.ID, Err: err})
	}
	fd, err := unix.Openat(int(m.sandboxes.Fd()), req.ID, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Unlinkat(int(m.sandboxes.Fd()), req.ID, unix.AT_REMOVEDIR)
		return nil, classify(&os.PathError{Op: "open", Path: req.ID, Err: err})
	}
	b.dir = os.NewFile(uintptr(fd), req.ID)
	spawned := false
	defer func() { // A panic counts too.
		if !spawned {
			ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
			defer cancel()
			m.clean(ctx, b)
		}
	}()
	if err := m.spawn(b, req); err != nil {
		return nil, err
	}
	spawned = true
	m.mu.Lock()
	m.boxes[req.ID] = b
	m.mu.Unlock()
	m.wg.Go(b.watch)
	return b, nil
}

func (m *Manager) spawn(b *box, req *Start) error {
	if err := failpoint.Hit("sandbox/start"); err != nil {
		return err
	}
	var err error
	if b.group, err = m.groups.Make(req.ID); err != nil {
		return err
	}
	unified, err := b.group.Unified()
	if err != nil {
		return err
	}
	if unified != nil {
		defer func() { _ = unified.Close() }()
	}
	files, err := m.agentFiles(b)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err != nil {
		return err
	}
	b.child, err = child.Start(child.Spec{
		Path: m.cfg.Guest, Args: []string{"arca-guest"},
		Env: []string{bootwire.Env + "=" + bootwire.EnvNamespace, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			failpoint.Env + "=" + failpoint.Inherit("guest/")},
		Files: files, Cloneflags: cloneflags(req), Cgroup: unified, Tasks: b.group.Tasks(),
	})
	if err != nil {
		return err
	}
	started, err := child.StartTime(b.child.Pid)
	if err != nil {
		// It is a child of this process, so it is there, as a zombie perhaps: its boot fails.
		started = 0
	}
	b.rec = record{
		Description: Description{ID: req.ID, BootID: req.BootID, Pid: uint32(b.child.Pid), Started: uint64(time.Now().UnixNano()), Links: req.Links},
		StartTime:   started, MachineBoot: m.boot, Groups: b.group.Dirs,
	}
	return nil
}

func cloneflags(req *Start) uintptr {
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP)
	for _, f := range []struct {
		host bool
		flag uintptr
	}{
		{req.HostPID, unix.CLONE_NEWPID}, {req.HostNetwork, unix.CLONE_NEWNET},
		{req.HostIPC, unix.CLONE_NEWIPC}, {req.HostUTS, unix.CLONE_NEWUTS},
	} {
		if !f.host {
			flags |= f.flag
		}
	}
	return flags
}

// agentFiles makes what an agent inherits, and stores the host's ends.
func (m *Manager) agentFiles(b *box) (files []*os.File, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	files = append(files, null)
	logFD, err := unix.Openat(int(b.dir.Fd()), logName, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return files, err
	}
	log := os.NewFile(uintptr(logFD), logName)
	files = append(files, log, log)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return files, err
	}
	// A whole boot fits in the buffer, so that sending it does not wait for the agent's start.
	_ = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 1<<20) // Without it, it waits.
	host := os.NewFile(uintptr(fds[0]), "boot")
	files = append(files, os.NewFile(uintptr(fds[1]), "boot"))
	listener, err := m.listen(b)
	if err != nil {
		_ = host.Close()
		return files, err
	}
	files = append(files, listener, host)
	return files, m.storeBoot(b, host)
}

// storeBoot keeps the host's end of the boot socket, for the worker and for this process.
func (m *Manager) storeBoot(b *box, host *os.File) error {
	for _, use := range []func(*os.File) error{
		func(f *os.File) error { return m.store.Put(BootName(b.id), f) },
		func(f *os.File) (err error) { b.boot, err = bootwire.New(f); return err },
	} {
		fd, err := unix.FcntlInt(host.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		if err := use(os.NewFile(uintptr(fd), "boot")); err != nil {
			return err
		}
	}
	return nil
}

// listen makes the listener of the agent's control channel. Its place is named through the open directory, because
// the address of a socket is short.
func (m *Manager) listen(b *box) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), socketName)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: procFD(int(b.dir.Fd())) + "/" + socketName})
	if err == nil {
		err = unix.Fchownat(int(b.dir.Fd()), socketName, 0, int(m.cfg.WorkerGID), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = unix.Fchmodat(int(b.dir.Fd()), socketName, 0o660, 0)
	}
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err == nil {
		err = m.storeAgent(b)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("listen for agent: %w", err)
	}
	return f, nil
}

// storeAgent keeps the place of the agent's socket: the worker may connect to it without any right to its directory.
func (m *Manager) storeAgent(b *box) error {
	fd, err := unix.Openat(int(b.dir.Fd()), socketName, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return m.store.Put(AgentName(b.id), os.NewFile(uintptr(fd), socketName))
}

// equip gives a launched agent its links, attachments and boot request, and writes its record.
func (m *Manager) equip(b *box, req *Start) error {
	if err := failpoint.Hit("sandbox/equip"); err != nil {
		return err
	}
	a, err := m.attach(&req.Things)
	if err != nil {
		return err
	}
	defer a.close()
	b.mu.Lock()
	b.rec.Description.Attachments = a.notes // From here on its end releases them.
	b.mu.Unlock()
	if err := m.attachTools(a); err != nil {
		return err
	}
	links, err := m.equipLinks(b, req.Links)
	if err != nil {
		return err
	}
	if err := b.update(func(*Description) {}); err != nil {
		return err
	}
	return b.send(&bootwire.Request{Seq: BootSeq, Type: bootwire.Boot, Attachments: a.wire, Spec: &bootwire.Spec{
		ID: b.id, BootID: b.bootID, AllowedUIDs: []uint32{0, m.cfg.WorkerUID},
		HostNetwork: req.HostNetwork, HostPID: req.HostPID, HostIPC: req.HostIPC, HostUTS: req.HostUTS, HostDevices: req.HostDevices,
		MemoryBytes: req.MemoryBytes, CPUs: req.CPUs, Cgroup: m.groups.Facts(), Links: links,
	}})
}

func (m *Manager) equipLinks(b *box, links []Link) ([]bootwire.Link, error) {
	if len(links) == 0 {
		return nil, nil
	}
	links = slices.Clone(links)
	for i := range links {
		if links[i].MTU == 0 {
			links[i].MTU = LinkMTU
		}
	}
	if err := m.makeLinks(b, links); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.rec.Description.Links = links // With the addresses that they have got.
	b.mu.Unlock()
	told := make([]bootwire.Link, len(links))
	for i, l := range links {
		told[i] = bootwire.Link{Name: l.Name, MAC: l.MAC, MTU: l.MTU}
	}
	return told, nil
}

func (b *box) send(r *bootwire.Request) error {
	if b.boot == nil {
		return fmt.Errorf("sandbox %s was adopted and its agent kept no boot socket: %w", b.id, errdefs.ErrFailedPrecondition)
	}
	if err := b.boot.SetDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	return b.boot.Send(r)
}

// stop kills a sandbox and waits until nothing of it is left.
func (m *Manager) stop(ctx context.Context, req *Ref) (wire.Message, error) {
	b, err := m.find(*req)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := b.kill("it was stopped"); err != nil {
		return nil, err
	}
	select {
	case <-b.done:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
