package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Builder builds roots below a directory of its own.
type Builder struct {
	base   string
	layers string // short, because an overlay's options must fit in a page.

	mu      sync.Mutex
	roots   map[string]*Root
	sources map[string]*source // by ref.
	next    int
}

// New makes a builder that keeps containers below base and layers below layers.
func New(base, layers string) (*Builder, error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("make rootfs builder: %w", err)
	}
	if err := makeSkeleton(filepath.Join(layers, "s")); err != nil {
		return nil, fmt.Errorf("make rootfs builder: %w", err)
	}
	return &Builder{base: base, layers: layers, roots: map[string]*Root{}, sources: map[string]*source{}}, nil
}

// Root is a built root file system.
type Root struct {
	ID     string
	Path   string   // of the overlay.
	Upper  string   // the overlay's upper directory.
	Area   string   // a directory on the container's writable disk.
	Dir    string   // the agent's directory for this container, in memory.
	Lowers []string // the image's, base first.
	Below  []string // what lies under the upper, top first: the image and the skeleton.
	Mounts []Staged
	refs   []string
}

// Staged is a mount of the container that waits at its staging point.
type Staged struct {
	Kind        guestv1.Mount_Kind
	Destination string
	Source      string // the staging point; empty for a tmpfs.
	IsDir       bool
	ReadOnly    bool
	Recursive   bool // the mounts below the source come along.
	RecursiveRO bool
	Options     []string
	Injected    bool // a file that was given with the request.
	SocketID    string
	SocketUID   int
	SocketGID   int
	SocketMode  os.FileMode
}

// Get returns the root of a container that was mounted.
func (b *Builder) Get(id string) (*Root, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.roots[id]
	if r == nil {
		return nil, fmt.Errorf("the root of container %.12s is not mounted: %w", id, errdefs.ErrNotFound)
	}
	return r, nil
}

// List returns the IDs of the mounted roots.
func (b *Builder) List() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id := range b.roots {
		ids = append(ids, id)
	}
	return ids
}

// Mount builds a root. A second call with the same ID answers with the root that is there.
func (b *Builder) Mount(req *guestv1.MountRequest) (*Root, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.roots[req.ContainerId]; r != nil {
		return r, nil
	}
	if err := validate(req); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.base, req.ContainerId)
	r := &Root{ID: req.ContainerId, Dir: dir, Path: filepath.Join(dir, "rootfs")}
	if err := b.build(r, req); err != nil {
		err = fmt.Errorf("mount root of %.12s: %w", req.ContainerId, err)
		return nil, errors.Join(err, b.undoLocked(r))
	}
	b.roots[r.ID] = r
	return r, nil
}

func validate(req *guestv1.MountRequest) error {
	if id := req.ContainerId; id == "" || len(id) > 128 || strings.ContainsAny(id, "/.") {
		return fmt.Errorf("container ID %q: %w", id, errdefs.ErrInvalidArgument)
	}
	if len(req.Lowers) > 500 {
		return fmt.Errorf("%d layers: %w", len(req.Lowers), errdefs.ErrInvalidArgument)
	}
	return nil
}

func (b *Builder) build(r *Root, req *guestv1.MountRequest) error {
	if err := os.MkdirAll(r.Path, 0o755); err != nil {
		return err
	}
	for _, ref := range req.Lowers {
		path, err := b.use(r, ref, readOnly)
		if err != nil {
			return err
		}
		r.Lowers = append(r.Lowers, filepath.Join(path, filepath.Clean("/"+req.LowerSubdir)))
	}
	area, err := b.use(r, req.Upper, writable)
	if err != nil {
		return err
	}
	r.Area, r.Upper = area, filepath.Join(area, "upper")
	for _, l := range slices.Backward(r.Lowers) {
		r.Below = append(r.Below, l)
	}
	r.Below = append(r.Below, filepath.Join(b.layers, "s"))
	if err := overlay(r); err != nil {
		return err
	}
	if err := b.stageMounts(r, req.Mounts); err != nil {
		return err
	}
	return stageFiles(r, req.Files)
}

// use opens an attachment for a root, whose end closes it.
func (b *Builder) use(r *Root, ref string, u use) (string, error) {
	path, err := b.openLocked(ref, u)
	if err == nil {
		r.refs = append(r.refs, ref)
	}
	return path, err
}

// Unmount undoes Mount. Unmounting what is not mounted succeeds.
func (b *Builder) Unmount(id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.roots[id]
	if r == nil {
		return nil
	}
	if err := b.undoLocked(r); err != nil {
		return fmt.Errorf("unmount root of %.12s: %w", id, err)
	}
	delete(b.roots, id)
	return nil
}

func (b *Builder) undoLocked(r *Root) error {
	var errs []error
	for _, m := range r.Mounts {
		if m.Source != "" && m.Kind != guestv1.Mount_SOCKET {
			errs = append(errs, unmount(m.Source))
		}
	}
	errs = append(errs, unmount(r.Path))
	for _, ref := range r.refs {
		errs = append(errs, b.closeLocked(ref))
	}
	r.Mounts, r.refs = nil, nil
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(r.Dir)
}

// unmount takes the mounts at path away, stacked ones included.
func unmount(path string) error {
	for {
		switch err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err {
		case nil:
			continue
		case unix.EINVAL, unix.ENOENT:
			return nil
		default:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// overlay mounts the layers of r at its path.
func overlay(r *Root) error {
	work := filepath.Join(r.Area, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(r.Upper, 0o755); err == nil {
		if err := inherit(r); err != nil {
			return err
		}
	} else if !os.IsExist(err) {
		return err
	}
	options := "index=off,lowerdir=" + strings.Join(r.Below, ":") + ",upperdir=" + r.Upper + ",workdir=" + work
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("%d layers are too many for one overlay: %w", len(r.Lowers), errdefs.ErrInvalidArgument)
	}
	if err := unix.Mount("overlay", r.Path, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay of %d layers: %w", len(r.Lowers), err)
	}
	return nil
}

// inherit gives a new upper directory the mode and owner that the top layer's root has.
func inherit(r *Root) error {
	if len(r.Lowers) == 0 {
		return os.Chmod(r.Upper, 0o755)
	}
	var st unix.Stat_t
	if err := unix.Stat(r.Lowers[len(r.Lowers)-1], &st); err != nil {
		return fmt.Errorf("look at the top layer: %w", err)
	}
	if err := os.Chown(r.Upper, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(r.Upper, st.Mode&0o7777)
}
