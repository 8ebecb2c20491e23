package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	"github.com/arca-engine/arca/vmhelper/sandbox"
)

// Instance is a driver to be tried, and what the suite needs of its surroundings.
type Instance struct {
	Driver sandbox.Driver
	// Disk returns the ID of a disk that exists and holds a file "hello".
	Disk string
	// Place tells where the agent puts an attachment.
	Place func(ref string) string
	// KillAgent kills the agent of a sandbox with no warning.
	KillAgent func(sandbox.Sandbox) error
	// Leftovers describes what the driver holds of the machine: it must be the same before and after.
	Leftovers func(t *testing.T) string
	// Frame makes the sandbox send one frame over a link; nil where the suite cannot.
	Frame func(sb sandbox.Sandbox, link string) error

	cleanup []func() error
}

// NewID returns an ID that nothing has.
func NewID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // Never fails: crypto/rand.Read ends the program instead.
	return hex.EncodeToString(b)
}

// Run tries a driver.
func Run(t *testing.T, newInstance func(t *testing.T) *Instance) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, *Instance)
	}{
		{"boots and answers Hello", boots},
		{"shows what it was given", shows},
		{"adds and removes while running", hot},
		{"refuses what does not exist and leaves nothing", refuses},
		{"tells when the agent dies", dies},
		{"stops what is stopped", stops},
		{"stops gently", gentle},
		{"boots an ID once for many callers", concurrent},
		{"boots an ID again as another boot", again},
		{"keeps uppers and volumes", keeps},
		{"has links", links},
		{"adds and removes links while running", hotLinks},
		{"leaves nothing after 50 sandboxes", leaves},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newInstance(t)
			before := in.Leftovers(t)
			c.f(t, in)
			for _, sb := range in.Driver.List() {
				if err := sb.Stop(t.Context(), 0); err != nil {
					t.Error(err)
				}
			}
			for _, f := range in.cleanup {
				if err := f(); err != nil {
					t.Error(err)
				}
			}
			same(t, in, before)
		})
	}
}

// same waits a little for the leftovers to be what they were: what lingers for speed goes within seconds.
func same(t *testing.T, in *Instance, before string) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		after := in.Leftovers(t)
		if after == before {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind:\nbefore: %s\nafter:  %s", before, after)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func create(t *testing.T, in *Instance, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	if spec.ID == "" {
		spec.ID = NewID()
	}
	sb, created, err := in.Driver.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if !created {
		t.Fatal("it ran already")
	}
	return sb
}

// Agent calls f with a client of a sandbox's agent.
func Agent(t *testing.T, sb sandbox.Sandbox, f func(ctx context.Context, c guestv1.AgentClient)) {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///agent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return sb.Dial(ctx, guestwire.PortControl) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	f(ctx, guestv1.NewAgentClient(cc))
}

func hello(t *testing.T, sb sandbox.Sandbox) {
	t.Helper()
	Agent(t, sb, func(ctx context.Context, c guestv1.AgentClient) {
		r, err := c.Hello(ctx, &guestv1.HelloRequest{HostUnixNano: time.Now().UnixNano()})
		if err != nil {
			t.Fatal(err)
		}
		if r.BootId != sb.Info().BootID {
			t.Errorf("the agent's boot is %q, the sandbox's %q", r.BootId, sb.Info().BootID)
		}
	})
}

func visible(t *testing.T, in *Instance, sb sandbox.Sandbox, ref, name string) bool {
	t.Helper()
	var err error
	Agent(t, sb, func(ctx context.Context, c guestv1.AgentClient) {
		_, err = c.StatPath(ctx, &guestv1.StatPathRequest{Path: filepath.Join(in.Place(ref), name)})
	})
	return err == nil
}

func boots(t *testing.T, in *Instance) {
	sb := create(t, in, sandbox.Spec{})
	hello(t, sb)
	if got, err := in.Driver.Get(sb.Info().ID); err != nil || got.Info() != sb.Info() {
		t.Error(got, err)
	}
}

func attachment(t *testing.T, as []sandbox.Attachment, kind sandbox.Kind, id string) sandbox.Attachment {
	t.Helper()
	for _, a := range as {
		if a.Kind == kind && a.ID == id {
			return a
		}
	}
	t.Fatalf("%d %s is not attached: %+v", kind, id, as)
	return sandbox.Attachment{}
}

func everything(t *testing.T, in *Instance) (sandbox.Things, map[sandbox.Kind]string) {
	t.Helper()
	upper, volume, src := NewID(), NewID(), t.TempDir()
	if err := in.Driver.CreateVolume(t.Context(), volume); err != nil {
		t.Fatal(err)
	}
	in.cleanup = append(in.cleanup, func() error {
		return errors.Join(in.Driver.RemoveUpper(t.Context(), upper), in.Driver.RemoveVolume(t.Context(), volume))
	})
	if err := os.WriteFile(filepath.Join(src, "hello"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return sandbox.Things{
		Disks: []string{in.Disk}, Uppers: []string{upper}, Volumes: []string{volume},
		Shares: []sandbox.Share{{Tag: "src", Path: src}, {Tag: "file", Path: filepath.Join(src, "hello"), ReadOnly: true}, {Tag: "new", Path: filepath.Join(src, "a", "b"), Create: true}},
	}, map[sandbox.Kind]string{sandbox.Disk: in.Disk, sandbox.Upper: upper, sandbox.Volume: volume}
}

func shows(t *testing.T, in *Instance) {
	things, ids := everything(t, in)
	sb := create(t, in, sandbox.Spec{Things: things})
	checkShown(t, in, sb, sb.Attachments(), ids)
	if err := in.Driver.RemoveUpper(t.Context(), ids[sandbox.Upper]); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("removing an upper in use: %v", err)
	}
	if err := in.Driver.ReleaseDisk(t.Context(), in.Disk); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("releasing a disk in use: %v", err)
	}
	if err := sb.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := in.Driver.ReleaseDisk(t.Context(), in.Disk); err != nil {
		t.Error(err)
	}
}

func checkShown(t *testing.T, in *Instance, sb sandbox.Sandbox, as []sandbox.Attachment, ids map[sandbox.Kind]string) {
	t.Helper()
	if !visible(t, in, sb, attachment(t, as, sandbox.Disk, ids[sandbox.Disk]).Ref, "hello") {
		t.Error("the disk is not seen")
	}
	for kind, id := range map[sandbox.Kind]string{sandbox.Upper: ids[sandbox.Upper], sandbox.Volume: ids[sandbox.Volume], sandbox.Mount: "new"} {
		if a := attachment(t, as, kind, id); !a.IsDir || !visible(t, in, sb, a.Ref, "") {
			t.Errorf("%+v is not seen", a)
		}
	}
	if a := attachment(t, as, sandbox.Mount, "src"); !a.IsDir || !visible(t, in, sb, a.Ref, "hello") {
		t.Errorf("%+v is not seen", a)
	}
	if a := attachment(t, as, sandbox.Mount, "file"); a.IsDir || !visible(t, in, sb, a.Ref, "") {
		t.Errorf("%+v is not seen", a)
	}
}

func hot(t *testing.T, in *Instance) {
	if f := in.Driver.Features(); !f.HotDisk || !f.HotShare {
		t.Skip("the driver cannot")
	}
	sb := create(t, in, sandbox.Spec{})
	things, ids := everything(t, in)
	for range 2 { // The second time changes nothing.
		as, err := sb.AddDisks(t.Context(), things)
		if err != nil {
			t.Fatal(err)
		}
		checkShown(t, in, sb, as, ids)
	}
	ref := attachment(t, sb.Attachments(), sandbox.Disk, in.Disk).Ref
	for range 2 {
		if err := sb.RemoveDisks(t.Context(), things); err != nil {
			t.Fatal(err)
		}
	}
	if len(sb.Attachments()) != 0 || visible(t, in, sb, ref, "hello") {
		t.Errorf("still there: %+v", sb.Attachments())
	}
	hello(t, sb)
}

func refuses(t *testing.T, in *Instance) {
	id := NewID()
	for name, things := range map[string]sandbox.Things{
		"disk":   {Disks: []string{NewID()}},
		"volume": {Volumes: []string{NewID()}},
		"share":  {Disks: []string{in.Disk}, Shares: []sandbox.Share{{Tag: "a", Path: filepath.Join(t.TempDir(), "absent")}}},
	} {
		if _, _, err := in.Driver.Create(t.Context(), sandbox.Spec{ID: id, Things: things}); !errdefs.IsNotFound(err) {
			t.Errorf("an absent %s: %v", name, err)
		}
		if _, err := in.Driver.Get(id); !errdefs.IsNotFound(err) {
			t.Errorf("after an absent %s: %v", name, err)
		}
	}
	if _, _, err := in.Driver.Create(t.Context(), sandbox.Spec{ID: "../x"}); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
	create(t, in, sandbox.Spec{ID: id})
}

func ended(t *testing.T, sb sandbox.Sandbox) {
	t.Helper()
	select {
	case <-sb.Done():
		if sb.Reason() == "" {
			t.Error("it ended without a reason")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no notice of the end")
	}
}

func dies(t *testing.T, in *Instance) {
	sb := create(t, in, sandbox.Spec{})
	if err := in.KillAgent(sb); err != nil {
		t.Fatal(err)
	}
	ended(t, sb)
	if _, err := in.Driver.Get(sb.Info().ID); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := sb.Dial(t.Context(), guestwire.PortControl); err == nil {
		t.Error("dialled a dead sandbox")
	}
}

func stops(t *testing.T, in *Instance) {
	sb := create(t, in, sandbox.Spec{})
	for range 2 {
		if err := sb.Stop(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ended(t, sb)
	}
}

func gentle(t *testing.T, in *Instance) {
	sb := create(t, in, sandbox.Spec{})
	start := time.Now()
	if err := sb.Stop(t.Context(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
	ended(t, sb)
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %v, so the agent was not asked", d)
	}
}

func concurrent(t *testing.T, in *Instance) {
	id := NewID()
	var wg sync.WaitGroup
	var created atomic.Int32
	boots := make(chan string, 16)
	for range cap(boots) {
		wg.Go(func() {
			sb, c, err := in.Driver.Create(t.Context(), sandbox.Spec{ID: id})
			if err != nil {
				t.Error(err)
				return
			}
			if c {
				created.Add(1)
			}
			boots <- sb.Info().BootID
		})
	}
	wg.Wait()
	close(boots)
	first := <-boots
	for b := range boots {
		if b != first {
			t.Errorf("two boots, %s and %s", b, first)
		}
	}
	if created.Load() != 1 {
		t.Errorf("%d callers created it", created.Load())
	}
}

func again(t *testing.T, in *Instance) {
	id := NewID()
	boot := ""
	for range 5 {
		sb := create(t, in, sandbox.Spec{ID: id})
		if sb.Info().BootID == boot {
			t.Fatal("the same boot again")
		}
		boot = sb.Info().BootID
		if err := in.KillAgent(sb); err != nil { // Not waited for: the next create must.
			t.Fatal(err)
		}
		ended(t, sb)
	}
}

func keeps(t *testing.T, in *Instance) {
	things, ids := everything(t, in)
	sb := create(t, in, sandbox.Spec{Things: things})
	if err := sb.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	uppers, volumes, err := in.Driver.ListStores(t.Context())
	if err != nil || len(uppers) != 1 || uppers[0] != ids[sandbox.Upper] || len(volumes) != 1 || volumes[0] != ids[sandbox.Volume] {
		t.Error(uppers, volumes, err)
	}
	if _, err := in.Driver.UsageUpper(t.Context(), ids[sandbox.Upper]); err != nil {
		t.Error(err)
	}
	if _, err := in.Driver.UsageVolume(t.Context(), ids[sandbox.Volume]); err != nil {
		t.Error(err)
	}
	if _, err := in.Driver.UsageVolume(t.Context(), NewID()); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	for _, err := range []error{in.Driver.RemoveUpper(t.Context(), NewID()), in.Driver.RemoveVolume(t.Context(), NewID())} {
		if err != nil {
			t.Error(err)
		}
	}
}

func links(t *testing.T, in *Instance) {
	mac := []byte{2, 0, 0, 0, 0, 7}
	sb := create(t, in, sandbox.Spec{Links: []sandbox.LinkSpec{{Name: "l0", MAC: mac}, {Name: "l1", MTU: 1500}}})
	for name, mtu := range map[string]uint32{"l0": in.Driver.Features().LinkMTU, "l1": 1500} {
		l, err := sb.Link(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if l.MTU != mtu {
			t.Errorf("%s has an MTU of %d", name, l.MTU)
		}
		if in.Frame != nil {
			frame(t, in, sb, name, l)
		}
		_ = l.File.Close()
	}
	if _, err := sb.Link(t.Context(), "l2"); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

func hotLinks(t *testing.T, in *Instance) {
	if !in.Driver.Features().HotLink {
		t.Skip("the driver cannot")
	}
	sb := create(t, in, sandbox.Spec{Links: []sandbox.LinkSpec{{Name: "first"}}})
	for range 2 { // A link of the name comes again after it went.
		for range 2 { // The second time changes nothing.
			if err := sb.AddLink(t.Context(), sandbox.LinkSpec{Name: "second", MAC: []byte{2, 0, 0, 0, 0, 8}, MTU: 1400}); err != nil {
				t.Fatal(err)
			}
		}
		l, err := sb.Link(t.Context(), "second")
		if err != nil {
			t.Fatal(err)
		}
		if l.MTU != 1400 || len(sb.Links()) != 2 {
			t.Errorf("an MTU of %d, links %v", l.MTU, sb.Links())
		}
		if in.Frame != nil {
			frame(t, in, sb, "second", l)
		}
		_ = l.File.Close()
		for range 2 {
			if err := sb.RemoveLink(t.Context(), "second"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := sb.Link(t.Context(), "second"); !errdefs.IsNotFound(err) || len(sb.Links()) != 1 {
			t.Errorf("a link that was removed: %v, links %v", err, sb.Links())
		}
		if in.Frame != nil && in.Frame(sb, "second") == nil {
			t.Error("the interface of a link that was removed is there")
		}
	}
	if err := sb.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := sb.AddLink(t.Context(), sandbox.LinkSpec{Name: "late"}); !errdefs.IsNotFound(err) {
		t.Errorf("adding a link to what has ended: %v", err)
	}
	if err := sb.RemoveLink(t.Context(), "first"); err != nil {
		t.Errorf("removing a link of what has ended: %v", err)
	}
}

// frame waits for any frame that the sandbox sends over the link.
func frame(t *testing.T, in *Instance, sb sandbox.Sandbox, name string, l *sandbox.Link) {
	t.Helper()
	got := make(chan error, 1)
	go func() {
		b := make([]byte, 1<<16+l.VnetHeader)
		n, err := l.File.Read(b)
		if err == nil && n < l.VnetHeader+14 {
			err = errors.New("a runt")
		}
		got <- err
	}()
	if err := in.Frame(sb, name); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no frame came over %s", name)
	}
}

func leaves(t *testing.T, in *Instance) {
	things, _ := everything(t, in)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for range 50 {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			sb, _, err := in.Driver.Create(t.Context(), sandbox.Spec{ID: NewID(), Things: things, Links: []sandbox.LinkSpec{{Name: "l0"}}})
			if err != nil {
				t.Error(err)
				return
			}
			if err := sb.Stop(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
