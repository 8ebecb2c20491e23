package privileged

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/keylock"
	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/cgroup"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/loop"
)

// Manager is the Backend. Make it with [New].
type Manager struct {
	cfg    Config
	store  *keeper.Store
	notify func(op uint16, m wire.Message)
	owner  owner
	groups *cgroup.Layout
	loops  *loop.Table
	boot   string   // of the machine.
	runc   *os.File // sealed; nil without one.

	sandboxes, uppers, volumes *os.File // directories.

	locks keylock.Map // one turn per sandbox: start, add and remove.
	wg    sync.WaitGroup

	mu    sync.Mutex
	boxes map[string]*box
	used  map[Store]int // uppers and volumes that sandboxes have.
}

var _ keeper.Backend = (*Manager)(nil)

// New opens the directories of an instance, adopts the sandboxes that live and reaps what is left of others. notify is
// called with the events.
func New(cfg Config, store *keeper.Store, notify func(uint16, wire.Message)) (*Manager, error) {
	m := &Manager{cfg: cfg, store: store, notify: notify, loops: loop.NewTable(), boxes: map[string]*box{}, used: map[Store]int{}}
	var err error
	if m.owner, err = findOwner(cfg.OwnerUID); err != nil {
		return nil, err
	}
	if m.boot, err = machineBoot(); err != nil {
		return nil, err
	}
	if m.groups, err = cgroup.Discover(instanceName(cfg.Home)); err != nil {
		return nil, err
	}
	if cfg.Runc != "" {
		if m.runc, err = sealProgram(cfg.Runc); err != nil {
			return nil, err
		}
	}
	root := filepath.Join(cfg.Home, "vmhelper")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("make vmhelper's directory: %w", err)
	}
	for _, d := range []struct {
		name string
		mode os.FileMode
		to   **os.File
	}{{"sandboxes", 0o711, &m.sandboxes}, {"uppers", 0o700, &m.uppers}, {"volumes", 0o711, &m.volumes}} {
		path := filepath.Join(root, d.name)
		if err := os.Mkdir(path, d.mode); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("make vmhelper's directory: %w", err)
		}
		if *d.to, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("open vmhelper's directory: %w", err)
		}
	}
	if err := m.recover(); err != nil {
		return nil, err
	}
	return m, nil
}

// Call serves a request of the worker.
func (m *Manager) Call(ctx context.Context, op uint16, body []byte) (wire.Message, *os.File, bool, error) {
	h, ok := handlers[op]
	if !ok {
		return nil, nil, false, fmt.Errorf("unknown request %d: %w", op, errdefs.ErrNotImplemented)
	}
	req := h.new()
	if err := wire.Unmarshal(body, req); err != nil {
		return nil, nil, false, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	reply, file, err := h.serve(m, ctx, req)
	return reply, file, file != nil, err
}

type handler struct {
	new   func() wire.Message
	serve func(*Manager, context.Context, wire.Message) (wire.Message, *os.File, error)
}

// on makes a handler of a method.
func on[T any, P interface {
	*T
	wire.Message
}](f func(*Manager, context.Context, P) (wire.Message, error)) handler {
	return handler{
		new: func() wire.Message { return P(new(T)) },
		serve: func(m *Manager, ctx context.Context, req wire.Message) (wire.Message, *os.File, error) {
			reply, err := f(m, ctx, req.(P))
			return reply, nil, err
		},
	}
}

var handlers = map[uint16]handler{
	OpStart:        on((*Manager).start),
	OpReady:        on((*Manager).ready),
	OpStop:         on((*Manager).stop),
	OpList:         on((*Manager).list),
	OpDescribe:     on((*Manager).describe),
	OpAdd:          on((*Manager).add),
	OpRemove:       on((*Manager).remove),
	OpRemoved:      on((*Manager).removed),
	OpCheckBind:    on((*Manager).checkBind),
	OpCreateVolume: on((*Manager).createVolume),
	OpRemoveStore:  on((*Manager).removeStore),
	OpUsageStore:   on((*Manager).usageStore),
	OpListStores:   on((*Manager).listStores),
	OpReleaseDisk:  on((*Manager).releaseDisk),
	OpAddLink:      on((*Manager).addLink),
	OpRemoveLink:   on((*Manager).removeLink),
	OpConnectSocket: {
		new: func() wire.Message { return &Path{} },
		serve: func(m *Manager, _ context.Context, req wire.Message) (wire.Message, *os.File, error) {
			path := req.(*Path).Path
			if err := checkPath(path); err != nil {
				return nil, nil, err
			}
			f, err := m.owner.connect(path)
			return nil, f, err
		},
	},
}

func (m *Manager) checkBind(_ context.Context, req *Path) (wire.Message, error) {
	if err := checkPath(req.Path); err != nil {
		return nil, err
	}
	n, err := m.owner.kind(req.Path)
	return &Number{n}, err
}

func (m *Manager) box(id string) *box {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boxes[id]
}

// boot returns the running sandbox that ref names.
func (m *Manager) find(ref Ref) (*box, error) {
	if err := checkID("sandbox", ref.ID); err != nil {
		return nil, err
	}
	b := m.box(ref.ID)
	if b == nil || ref.BootID != "" && ref.BootID != b.bootID {
		return nil, fmt.Errorf("sandbox %s does not run: %w", ref.ID, errdefs.ErrNotFound)
	}
	return b, nil
}

func (m *Manager) list(_ context.Context, req *After) (wire.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.boxes {
		if id > req.ID {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return &IDs{ids[:min(len(ids), pageSize)]}, nil
}

func (m *Manager) describe(_ context.Context, req *Ref) (wire.Message, error) {
	b, err := m.find(*req)
	if err != nil {
		return nil, err
	}
	d := b.description()
	return &d, nil
}

func (m *Manager) ready(_ context.Context, req *Ref) (wire.Message, error) {
	b, err := m.find(*req)
	if err != nil {
		return nil, err
	}
	return nil, b.update(func(d *Description) { d.Ready = true })
}

// Stop ends all sandboxes and lets go of everything.
func (m *Manager) Stop(ctx context.Context) error {
	m.mu.Lock()
	boxes := make([]*box, 0, len(m.boxes))
	for _, b := range m.boxes {
		boxes = append(boxes, b)
	}
	m.mu.Unlock()
	var errs []error
	for _, b := range boxes {
		errs = append(errs, b.kill("vmhelper was stopped"))
	}
	for _, b := range boxes {
		select {
		case <-b.done:
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("stop sandbox %s: %w", b.id, context.Cause(ctx)))...)
		}
	}
	m.wg.Wait()
	m.loops.Close()
	if m.runc != nil {
		_ = m.runc.Close()
	}
	m.groups.Close()
	for _, f := range []*os.File{m.sandboxes, m.uppers, m.volumes} {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// openDisk opens the image of a layer. Its directory is the frontend's, so nothing in it is followed.
func (m *Manager) openDisk(id string) (*os.File, error) {
	dir, err := os.Open(filepath.Join(m.cfg.Home, "frontend", "images", "disks"))
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = dir.Close() }()
	fd, err := unix.Openat2(int(dir.Fd()), id+".ext4", &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, classify(&os.PathError{Op: "open disk", Path: id, Err: err})
	}
	f := os.NewFile(uintptr(fd), id)
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("disk %s is not a regular file: %w", id, errdefs.ErrInvalidArgument)
	}
	return f, nil
}
