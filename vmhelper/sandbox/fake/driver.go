package fake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/keylock"
	"github.com/arca-engine/arca/vmhelper/sandbox"
)

// Driver is the fake. Make it with [New].
type Driver struct {
	locks keylock.Map
	boots uint64

	mu      sync.Mutex
	faults  map[string]*Fault
	boxes   map[string]*box
	disks   map[string]bool // that exist.
	uppers  map[string]int  // users of what exists.
	volumes map[string]int
	inUse   map[string]int // users of disks.
}

var _ sandbox.Driver = (*Driver)(nil)

// New returns a driver that knows these disks.
func New(disks ...string) *Driver {
	d := &Driver{
		faults: map[string]*Fault{}, boxes: map[string]*box{}, disks: map[string]bool{},
		uppers: map[string]int{}, volumes: map[string]int{}, inUse: map[string]int{},
	}
	for _, id := range disks {
		d.disks[id] = true
	}
	return d
}

// Name names the driver.
func (d *Driver) Name() string { return "fake" }

// Features tells what it can do.
func (d *Driver) Features() sandbox.Features {
	return sandbox.Features{HotDisk: true, HotShare: true, HotLink: true, SharedVolumes: true, LinkMTU: 1500}
}

// Close ends everything: nothing of this driver can outlive it.
func (d *Driver) Close() error {
	for _, sb := range d.List() {
		sb.(*box).end("the driver was closed")
	}
	return nil
}

// Create boots a sandbox or returns the one that runs.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, bool, error) {
	if len(spec.ID) != 64 {
		return nil, false, fmt.Errorf("sandbox %q: %w", spec.ID, errdefs.ErrInvalidArgument)
	}
	if err := d.locks.Lock(ctx, spec.ID); err != nil {
		return nil, false, err
	}
	defer d.locks.Unlock(spec.ID)
	if sb, err := d.Get(spec.ID); err == nil {
		return sb, false, nil
	}
	if err := d.hit(ctx, StepCreate, nil); err != nil {
		return nil, false, err
	}
	b, err := d.boot(spec)
	if err != nil {
		return nil, false, err
	}
	if err := d.hit(ctx, StepBoot, b); err != nil {
		b.end("its boot failed")
		return nil, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if b.dead() {
		return nil, false, fmt.Errorf("the sandbox ended: %s: %w", b.Reason(), errdefs.ErrUnavailable)
	}
	d.boxes[spec.ID] = b
	return b, true, nil
}

func (d *Driver) boot(spec sandbox.Spec) (*box, error) {
	d.mu.Lock()
	d.boots++
	id := fmt.Sprintf("boot-%d", d.boots)
	d.mu.Unlock()
	b, err := newBox(d, sandbox.Info{ID: spec.ID, BootID: id, Pid: os.Getpid(), Started: time.Now()})
	if err != nil {
		return nil, err
	}
	_, err = b.add(spec.Things)
	for _, l := range spec.Links {
		if err == nil {
			err = b.makeLink(l)
		}
	}
	if err != nil {
		b.end("its boot failed")
		return nil, err
	}
	return b, nil
}

// Get returns a running sandbox.
func (d *Driver) Get(id string) (sandbox.Sandbox, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.boxes[id]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("sandbox %s does not run: %w", id, errdefs.ErrNotFound)
}

// List returns the running sandboxes.
func (d *Driver) List() []sandbox.Sandbox {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []sandbox.Sandbox
	for _, b := range d.boxes {
		all = append(all, b)
	}
	return all
}

// Kill ends a sandbox as the death of its agent does.
func (d *Driver) Kill(id string) error {
	sb, err := d.Get(id)
	if err == nil {
		sb.(*box).end("its agent was killed")
	}
	return err
}

func (d *Driver) removeStore(ctx context.Context, m map[string]int, id string) error {
	if err := d.hit(ctx, StepStore, nil); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m[id] > 0 {
		return fmt.Errorf("%s is in use by a sandbox: %w", id, errdefs.ErrFailedPrecondition)
	}
	delete(m, id)
	return nil
}

func (d *Driver) usage(ctx context.Context, m map[string]int, id string) (uint64, error) {
	if err := d.hit(ctx, StepStore, nil); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := m[id]; !ok {
		return 0, fmt.Errorf("%s does not exist: %w", id, errdefs.ErrNotFound)
	}
	return 4096, nil
}

// RemoveUpper deletes a writable layer.
func (d *Driver) RemoveUpper(ctx context.Context, id string) error {
	return d.removeStore(ctx, d.uppers, id)
}

// UsageUpper measures a writable layer.
func (d *Driver) UsageUpper(ctx context.Context, id string) (uint64, error) {
	return d.usage(ctx, d.uppers, id)
}

// CreateVolume makes a volume.
func (d *Driver) CreateVolume(ctx context.Context, id string) error {
	if err := d.hit(ctx, StepStore, nil); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.volumes[id] += 0
	return nil
}

// RemoveVolume deletes a volume.
func (d *Driver) RemoveVolume(ctx context.Context, id string) error {
	return d.removeStore(ctx, d.volumes, id)
}

// UsageVolume measures a volume.
func (d *Driver) UsageVolume(ctx context.Context, id string) (uint64, error) {
	return d.usage(ctx, d.volumes, id)
}

// ListStores lists the uppers and volumes.
func (d *Driver) ListStores(ctx context.Context) (uppers, volumes []string, err error) {
	if err := d.hit(ctx, StepStore, nil); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.uppers {
		uppers = append(uppers, id)
	}
	for id := range d.volumes {
		volumes = append(volumes, id)
	}
	slices.Sort(uppers)
	slices.Sort(volumes)
	return uppers, volumes, nil
}

// ReleaseDisk lets go of a disk.
func (d *Driver) ReleaseDisk(ctx context.Context, id string) error {
	if err := d.hit(ctx, StepStore, nil); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inUse[id] > 0 {
		return fmt.Errorf("disk %s is in use: %w", id, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// CheckBind looks at a path with the rights of this process.
func (d *Driver) CheckBind(_ context.Context, path string) (sandbox.BindKind, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return sandbox.BindAbsent, nil
	case err != nil:
		return 0, fmt.Errorf("%w: %w", err, errdefs.ErrPermissionDenied)
	case st.IsDir():
		return sandbox.BindDirectory, nil
	case st.Mode().IsRegular():
		return sandbox.BindFile, nil
	case st.Mode()&os.ModeSocket != 0:
		return sandbox.BindSocket, nil
	}
	return sandbox.BindOther, nil
}

// ConnectSocket connects with the rights of this process.
func (d *Driver) ConnectSocket(ctx context.Context, path string) (*os.File, error) {
	var nd net.Dialer
	c, err := nd.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	defer func() { _ = c.Close() }()
	return c.(*net.UnixConn).File()
}
