package privileged

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/vmhelper/keeper/child"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/cgroup"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/tree"
)

// cleanupLimit bounds how long the remains of a dead sandbox are waited for.
const cleanupLimit = 10 * time.Second

// box is one sandbox.
type box struct {
	m          *Manager
	id, bootID string
	dir        *os.File
	group      *cgroup.Group
	child      *child.Child
	boot       *bootwire.Conn // nil for an adopted one whose agent did not keep it.
	done       chan struct{}  // closed when nothing is left.

	mu     sync.Mutex
	rec    record
	reason string // why it is being killed.
	over   bool   // its agent has ended.
	shown  bool   // its start was answered, so its end is told.
}

func (b *box) description() Description {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.rec.Description
	d.Attachments, d.Links = slices.Clone(d.Attachments), slices.Clone(d.Links)
	return d
}

func (b *box) isShown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown
}

// update changes the description, on disk too.
func (b *box) update(f func(*Description)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.rec.Description)
	return b.rec.write(b.dir)
}

// kill sends every process of the sandbox its end. done tells when they are gone.
func (b *box) kill(reason string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil // It has ended, and what is left of it is being removed.
	}
	if b.reason == "" {
		b.reason = reason
	}
	err := b.child.Signal(unix.SIGKILL)
	if kerr := b.group.Kill(); err == nil {
		err = kerr
	}
	if err != nil {
		return fmt.Errorf("kill sandbox %s: %w", b.id, err)
	}
	return nil
}

// watch waits for the agent's end and removes what is left.
func (b *box) watch() {
	status, err := b.child.Wait()
	if err != nil {
		b.m.cfg.Log.Error("wait for agent", "sandbox", b.id, "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
	defer cancel()
	b.mu.Lock()
	b.over = true
	reason, shown := b.reason, b.shown
	b.mu.Unlock()
	if reason == "" {
		reason = "its agent ended: " + status + b.lastWords()
	}
	b.m.clean(ctx, b)
	if shown {
		b.m.notify(EventExited, &Exited{Ref: Ref{b.id, b.bootID}, Reason: reason})
	}
}

// lastWords returns the end of what the agent wrote on its standard error.
func (b *box) lastWords() string {
	fd, err := unix.Openat(int(b.dir.Fd()), logName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), logName)
	defer func() { _ = f.Close() }()
	buf := make([]byte, 512)
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	n, _ := f.ReadAt(buf, max(0, st.Size()-int64(len(buf)))) // The end of the file is what is wanted.
	s := strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(string(buf[:n]), "\x00", ""), "?"))
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// clean removes everything of a sandbox whose agent has ended, or never was.
func (m *Manager) clean(ctx context.Context, b *box) {
	_ = failpoint.Hit("sandbox/clean") // Nothing can refuse a clean-up; the process that does it can end.
	log := m.cfg.Log.With("sandbox", b.id)
	if b.group != nil {
		if err := b.group.Kill(); err != nil {
			log.Error("kill what is left of a sandbox", "error", err)
		}
		if err := b.group.Remove(ctx); err != nil {
			log.Error("remove control groups", "error", err)
		}
	}
	if b.boot != nil {
		_ = b.boot.Close()
	}
	m.store.DropAll(bootPrefix(b.id))
	for _, a := range b.description().Attachments {
		m.release(a)
	}
	if b.child != nil {
		_ = b.child.Close()
	}
	_ = b.dir.Close()
	if err := tree.Remove(m.sandboxes, b.id); err != nil {
		log.Error("remove sandbox's directory", "error", err)
	}
	m.mu.Lock()
	delete(m.boxes, b.id)
	m.mu.Unlock()
	close(b.done)
}

// hold counts the use of an upper or volume.
func (m *Manager) hold(s Store) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used[s]++
}

// release undoes what attaching took.
func (m *Manager) release(a Attachment) {
	switch a.Kind {
	case KindDisk:
		m.loops.Release(a.ID)
	case KindUpper, KindVolume:
		m.mu.Lock()
		defer m.mu.Unlock()
		s := Store{Volume: a.Kind == KindVolume, ID: a.ID}
		if m.used[s]--; m.used[s] <= 0 {
			delete(m.used, s)
		}
	}
}
