package sandboxtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Box is a sandbox: an agent behind two sockets.
type Box struct {
	guestv1.UnimplementedAgentServer
	h        *Helper
	id, boot string
	dir      string
	attached map[string]*vmhelperv1.Attachment // under the helper's mutex.
	links    []*vmhelperv1.Link                // of the spec.

	server  *grpc.Server
	streams net.Listener
	wg      sync.WaitGroup
	once    sync.Once
	dead    chan struct{}

	mu         sync.Mutex
	conns      map[net.Conn]struct{}
	processes  map[string]*Process
	mounted    map[string]bool
	network    map[string]*Network // by container.
	subscriber *queue
}

func newBox(h *Helper, id, boot string, links []*vmhelperv1.Link) *Box {
	b := &Box{
		h: h, id: id, boot: boot, dir: filepath.Join(h.dir, boot), attached: map[string]*vmhelperv1.Attachment{},
		dead: make(chan struct{}), conns: map[net.Conn]struct{}{}, processes: map[string]*Process{}, mounted: map[string]bool{},
		network: map[string]*Network{}, links: links,
	}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		h.t.Error(err)
	}
	b.server = grpc.NewServer(grpc.ConnectionTimeout(200*time.Millisecond), grpc.UnaryInterceptor(h.unary), grpc.StreamInterceptor(h.stream), grpc.WaitForHandlers(true))
	guestv1.RegisterAgentServer(b.server, b)
	control := h.listen(b.socket(guestwire.PortControl))
	b.streams = h.listen(b.socket(guestwire.PortStream))
	b.wg.Go(func() { _ = b.server.Serve(control) }) // It ends with Stop.
	b.wg.Go(b.accept)
	return b
}

func (b *Box) socket(port uint32) string { return filepath.Join(b.dir, strconv.Itoa(int(port))) }

func (b *Box) info() *vmhelperv1.Sandbox {
	return &vmhelperv1.Sandbox{Id: b.id, BootId: b.boot, Pid: int32(os.Getpid())}
}

func (b *Box) attach(disks []*vmhelperv1.Disk, uppers, volumes []string, shares []*vmhelperv1.Share) {
	add := func(k vmhelperv1.Attachment_Kind, id string) {
		name := map[vmhelperv1.Attachment_Kind]string{1: "disk", 2: "upper", 3: "volume", 4: "share"}[k] + " " + id
		b.attached[name] = &vmhelperv1.Attachment{Kind: k, Id: id, Ref: fmt.Sprintf("dir:/%d/%s", k, id), IsDir: true}
	}
	for _, d := range disks {
		add(vmhelperv1.Attachment_DISK, d.Id)
	}
	for _, u := range uppers {
		add(vmhelperv1.Attachment_UPPER, u)
	}
	for _, v := range volumes {
		add(vmhelperv1.Attachment_VOLUME, v)
	}
	for _, s := range shares {
		add(vmhelperv1.Attachment_SHARE, s.Tag)
	}
}

// end ends the sandbox and waits until nothing of it is left.
func (b *Box) end() {
	b.once.Do(func() {
		close(b.dead)
		b.server.Stop()
		_ = b.streams.Close()
		b.mu.Lock()
		for c := range b.conns {
			_ = c.Close()
		}
		b.conns = nil
		b.mu.Unlock()
		b.wg.Wait()
		_ = os.RemoveAll(b.dir)
	})
}

func (b *Box) accept() {
	for {
		c, err := b.streams.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				b.h.t.Error(err)
			}
			return
		}
		b.mu.Lock()
		if b.conns == nil {
			b.mu.Unlock()
			_ = c.Close()
			return
		}
		b.conns[c] = struct{}{}
		b.mu.Unlock()
		b.wg.Go(func() {
			b.serveStream(c)
			b.mu.Lock()
			delete(b.conns, c)
			b.mu.Unlock()
			_ = c.Close()
		})
	}
}

// CutStreams closes every raw stream, as a broken connection does.
func (b *Box) CutStreams() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		_ = c.Close()
	}
}

// Process returns the container's process, or nil.
func (b *Box) Process(container string) *Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.processes[container]
}
