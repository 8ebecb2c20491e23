package fake

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/internal/guestwire"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance/testagent"
)

// box is one boot.
type box struct {
	d    *Driver
	info sandbox.Info
	done chan struct{}
	once sync.Once

	dir    string
	agent  *grpc.Server
	served chan struct{}

	mu     sync.Mutex
	notes  []sandbox.Attachment
	links  []link
	reason string
}

func newBox(d *Driver, info sandbox.Info) (*box, error) {
	b := &box{d: d, info: info, done: make(chan struct{}), served: make(chan struct{})}
	var err error
	if b.dir, err = os.MkdirTemp("", "fake"); err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	l, err := net.Listen("unix", b.socket())
	if err != nil {
		_ = os.RemoveAll(b.dir)
		return nil, fmt.Errorf("boot: %w", err)
	}
	s := &testagent.Server{BootID: info.BootID, Stat: b.stat, End: func() { b.end("its agent ended") }}
	b.agent = s.New()
	go func() {
		defer close(b.served)
		_ = b.agent.Serve(l) // It ends with Stop.
	}()
	return b, nil
}

func (b *box) socket() string { return filepath.Join(b.dir, "agent.sock") }

// stat sees the attachments, and in the root of every disk and directory a file "hello".
func (b *box) stat(p string) (fs.FileInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.notes {
		at := Place(a.Ref)
		if p == at || p == path.Join(at, "hello") {
			return os.Stat(b.dir)
		}
	}
	return nil, fs.ErrNotExist
}

// Place is where the fake's agent has an attachment.
func Place(ref string) string {
	_, p, _ := strings.Cut(ref, ":")
	return "/" + p
}

func (b *box) dead() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// end ends the sandbox once; all who call return when nothing is left.
func (b *box) end(reason string) {
	b.once.Do(func() {
		b.agent.Stop()
		<-b.served
		_ = os.RemoveAll(b.dir) // A temporary directory of the test.
		b.mu.Lock()
		b.reason = reason
		notes, links := b.notes, b.links
		b.links = nil
		b.mu.Unlock()
		for _, l := range links {
			l.close()
		}
		b.d.mu.Lock()
		defer b.d.mu.Unlock()
		b.d.releaseLocked(notes)
		if b.d.boxes[b.info.ID] == b {
			delete(b.d.boxes, b.info.ID)
		}
		close(b.done)
	})
	<-b.done
}

func (d *Driver) releaseLocked(as []sandbox.Attachment) {
	for _, a := range as {
		switch a.Kind {
		case sandbox.Disk:
			d.inUse[a.ID]--
		case sandbox.Upper:
			d.uppers[a.ID]--
		case sandbox.Volume:
			d.volumes[a.ID]--
		}
	}
}

// Info tells of this boot.
func (b *box) Info() sandbox.Info { return b.info }

// Attachments tells what is attached.
func (b *box) Attachments() []sandbox.Attachment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}

// Done is closed when the sandbox has ended.
func (b *box) Done() <-chan struct{} { return b.done }

// Reason tells why it ended.
func (b *box) Reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason
}

// Dial opens a stream to the agent, which has the control port alone.
func (b *box) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	if err := b.d.hit(ctx, StepDial, b); err != nil {
		return nil, err
	}
	if port != guestwire.PortControl {
		return nil, fmt.Errorf("the fake agent has no port %d: %w", port, errdefs.ErrUnavailable)
	}
	var nd net.Dialer
	c, err := nd.DialContext(ctx, "unix", b.socket())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	return c, nil
}

// AddDisks attaches more.
func (b *box) AddDisks(ctx context.Context, t sandbox.Things) ([]sandbox.Attachment, error) {
	if err := b.d.hit(ctx, StepAdd, b); err != nil {
		return nil, err
	}
	return b.add(t)
}

func wanted(t sandbox.Things) (as []sandbox.Attachment) {
	for _, id := range t.Disks {
		as = append(as, sandbox.Attachment{Kind: sandbox.Disk, ID: id, Ref: "serial:" + id})
	}
	for _, id := range t.Uppers {
		as = append(as, sandbox.Attachment{Kind: sandbox.Upper, ID: id, Ref: "dir:upper-" + id, IsDir: true})
	}
	for _, id := range t.Volumes {
		as = append(as, sandbox.Attachment{Kind: sandbox.Volume, ID: id, Ref: "dir:volume-" + id, IsDir: true})
	}
	for _, s := range t.Shares {
		st, err := os.Stat(s.Path)
		as = append(as, sandbox.Attachment{Kind: sandbox.Mount, ID: s.Tag, Ref: "virtiofs:" + s.Tag, IsDir: err != nil || st.IsDir()})
	}
	return as
}

func (b *box) add(t sandbox.Things) ([]sandbox.Attachment, error) {
	for _, s := range t.Shares {
		_, err := os.Stat(s.Path)
		if os.IsNotExist(err) && s.Create {
			err = os.MkdirAll(s.Path, 0o755)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
		}
	}
	as := wanted(t)
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	for _, a := range as {
		_, volume := b.d.volumes[a.ID]
		if a.Kind == sandbox.Disk && !b.d.disks[a.ID] || a.Kind == sandbox.Volume && !volume {
			return nil, fmt.Errorf("%s does not exist: %w", a.ID, errdefs.ErrNotFound)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range as {
		if slices.Contains(b.notes, a) {
			continue
		}
		b.notes = append(b.notes, a)
		switch a.Kind {
		case sandbox.Disk:
			b.d.inUse[a.ID]++
		case sandbox.Upper:
			b.d.uppers[a.ID]++
		case sandbox.Volume:
			b.d.volumes[a.ID]++
		}
	}
	return as, nil
}

// RemoveDisks takes away what is attached of t.
func (b *box) RemoveDisks(ctx context.Context, t sandbox.Things) error {
	if err := b.d.hit(ctx, StepRemove, b); err != nil {
		return err
	}
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range wanted(t) {
		i := slices.IndexFunc(b.notes, func(n sandbox.Attachment) bool { return n.Kind == a.Kind && n.ID == a.ID })
		if i >= 0 {
			b.d.releaseLocked(b.notes[i : i+1])
			b.notes = slices.Delete(b.notes, i, i+1)
		}
	}
	return nil
}

// Stop ends the sandbox.
func (b *box) Stop(ctx context.Context, _ time.Duration) error {
	if err := b.d.hit(ctx, StepStop, b); err != nil {
		return err
	}
	b.end("it was stopped")
	return nil
}
