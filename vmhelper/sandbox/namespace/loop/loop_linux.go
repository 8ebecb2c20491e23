package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const linger = 5 * time.Second

// Device is an attached image.
type Device struct {
	Path         string
	Major, Minor uint32
}

// Table knows the attached images by ID.
type Table struct {
	linger time.Duration

	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	mu    sync.Mutex // held while attaching.
	file  *os.File
	dev   Device
	users int // guarded by Table.mu, as is idle.
	idle  *time.Timer
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{linger: linger, entries: map[string]*entry{}} }

// Acquire returns the device of an image and counts one user more. open opens the image's file; it is called when the
// image is not attached yet.
func (t *Table) Acquire(id string, open func() (*os.File, error)) (Device, error) {
	t.mu.Lock()
	e := t.entries[id]
	if e == nil {
		e = &entry{}
		t.entries[id] = e
	}
	e.users++
	if e.idle != nil {
		e.idle.Stop()
		e.idle = nil
	}
	t.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file != nil {
		return e.dev, nil
	}
	err := e.attach(open)
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if e.users--; e.users == 0 && t.entries[id] == e {
			delete(t.entries, id)
		}
		return Device{}, err
	}
	return e.dev, nil
}

// Adopt is Acquire for an image that an earlier process attached to dev: it fails when dev carries another one now.
func (t *Table) Adopt(id string, dev Device, open func() (*os.File, error)) error {
	_, err := t.Acquire(id, func() (*os.File, error) { return nil, errAdopt })
	if !errors.Is(err, errAdopt) {
		return err
	}
	image, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }()
	f, err := os.OpenFile(dev.Path, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("adopt disk: %w", err)
	}
	if err := carries(f, image); err != nil {
		_ = f.Close()
		return fmt.Errorf("adopt disk %s on %s: %w", id, dev.Path, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries[id] = &entry{file: f, dev: dev, users: 1}
	return nil
}

var errAdopt = errors.New("the image is not attached")

func carries(dev, image *os.File) error {
	info, err := unix.IoctlLoopGetStatus64(int(dev.Fd()))
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return err
	}
	if info.Inode != st.Ino || info.Device != uint64(st.Dev) {
		return fmt.Errorf("it carries another file: %w", errdefs.ErrNotFound)
	}
	return nil
}

// Release counts one user less.
func (t *Table) Release(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[id]
	if e == nil || e.users == 0 {
		return
	}
	if e.users--; e.users > 0 {
		return
	}
	e.idle = time.AfterFunc(t.linger, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if e.users == 0 {
			t.dropLocked(id, e)
		}
	})
}

func (t *Table) dropLocked(id string, e *entry) {
	if e.idle != nil {
		e.idle.Stop()
	}
	if t.entries[id] == e {
		delete(t.entries, id)
		if e.file != nil {
			_ = e.file.Close()
		}
	}
}

// Forget lets go of an image at once. It fails while the image is in use.
func (t *Table) Forget(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[id]
	if e == nil {
		return nil
	}
	if e.users > 0 {
		return fmt.Errorf("disk %s is in use by %d sandboxes: %w", id, e.users, errdefs.ErrFailedPrecondition)
	}
	t.dropLocked(id, e)
	return nil
}

// Close lets go of all images.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.entries {
		t.dropLocked(id, e)
	}
}

func (e *entry) attach(open func() (*os.File, error)) error {
	image, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }()
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("attach disk: %w", err)
	}
	defer func() { _ = ctl.Close() }()
	// Another process may take the free device first.
	for range 64 {
		n, err := unix.IoctlRetInt(int(ctl.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return fmt.Errorf("attach disk: find a free loop device: %w", err)
		}
		err = e.configure(n, image)
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return fmt.Errorf("attach disk: every loop device was taken: %w", errdefs.ErrResourceExhausted)
}

func (e *entry) configure(n int, image *os.File) error {
	path := "/dev/loop" + strconv.Itoa(n)
	dev, err := os.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err = unix.Mknod(path, unix.S_IFBLK|0o660, int(unix.Mkdev(7, uint32(n)))); err == nil || errors.Is(err, unix.EEXIST) {
			dev, err = os.OpenFile(path, os.O_RDONLY, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("attach disk: %w", err)
	}
	cfg := &unix.LoopConfig{Fd: uint32(image.Fd()), Size: 0}
	cfg.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), cfg); err != nil {
		_ = dev.Close()
		return fmt.Errorf("attach disk to %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dev.Fd()), &st); err != nil {
		_ = dev.Close()
		return fmt.Errorf("attach disk to %s: %w", path, err)
	}
	e.file = dev
	e.dev = Device{Path: path, Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev))}
	return nil
}
