package namespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/internal/keylock"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/privileged"
)

// bootLimit is how long an agent may take to answer its boot request.
const bootLimit = 20 * time.Second

// changeLimit is how long an agent may take to attach or let go of something.
const changeLimit = 10 * time.Second

// Driver is the worker's side of the driver.
type Driver struct {
	client *wire.Client
	log    hclog.Logger
	locks  keylock.Map // one turn per sandbox: create.
	wg     sync.WaitGroup

	mu    sync.Mutex
	boxes map[string]*box   // the latest boot of each sandbox, by ID.
	boots map[string]*box   // every boot that has not ended, by boot ID.
	gone  map[string]string // reasons of ends that were told before the box was known, by boot ID.
}

var _ sandbox.Driver = (*Driver)(nil)

// New takes over conn, the worker's end of the keeper socket, and takes up the sandboxes that run.
func New(ctx context.Context, conn *wire.Conn, log hclog.Logger) (*Driver, error) {
	d := &Driver{log: log, boxes: map[string]*box{}, boots: map[string]*box{}, gone: map[string]string{}}
	d.client = wire.NewClient(conn, d.event)
	if err := d.load(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Client is the worker's end of the keeper socket.
func (d *Driver) Client() *wire.Client { return d.client }

// Gone is closed when the keeper has ended.
func (d *Driver) Gone() <-chan struct{} { return d.client.Done() }

// Close lets go of the keeper. Sandboxes run on.
func (d *Driver) Close() error {
	err := d.client.Close()
	d.mu.Lock()
	for _, b := range d.boots {
		if b.boot != nil {
			_ = b.boot.Close()
		}
		_ = b.agent.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
	return err
}

// Name names the driver.
func (d *Driver) Name() string { return "namespace" }

// Features tells what it can do.
func (d *Driver) Features() sandbox.Features {
	return sandbox.Features{
		HotDisk: true, HotShare: true, HotLink: true, HostNetwork: true, HostPID: true, HostIPC: true, HostUTS: true, HostDevices: true,
		MemoryGrow: true, SharedVolumes: true, LinkVnetHeader: true, LinkMTU: privileged.LinkMTU,
	}
}

// call asks the keeper for something that yields no descriptor.
func (d *Driver) call(ctx context.Context, op uint16, req, reply wire.Message) error {
	f, err := d.client.Call(ctx, op, req, reply)
	if f != nil {
		_ = f.Close()
	}
	return err
}

// load takes up what runs, and ends what had not finished booting.
func (d *Driver) load(ctx context.Context) error {
	for after := ""; ; {
		var ids privileged.IDs
		if err := d.call(ctx, privileged.OpList, &privileged.After{ID: after}, &ids); err != nil {
			return fmt.Errorf("list sandboxes: %w", err)
		}
		if len(ids.IDs) == 0 {
			return nil
		}
		for _, id := range ids.IDs {
			after = id
			var desc privileged.Description
			err := d.call(ctx, privileged.OpDescribe, &privileged.Ref{ID: id}, &desc)
			if errdefs.IsNotFound(err) {
				continue
			}
			if err == nil && !desc.Ready {
				d.log.Info("ending a sandbox that had not finished booting", "sandbox", id)
				err = d.call(ctx, privileged.OpStop, &privileged.Ref{ID: id}, nil)
			} else if err == nil {
				_, err = d.take(ctx, &desc)
			}
			if err != nil {
				return fmt.Errorf("take up sandbox %s: %w", id, err)
			}
		}
	}
}

// event is called for every event of the keeper.
func (d *Driver) event(op uint16, body []byte) {
	var e privileged.Exited
	if op != privileged.EventExited || wire.Unmarshal(body, &e) != nil {
		d.log.Error("the keeper sent an unknown event", "op", op)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.boots[e.Ref.BootID]
	if b == nil {
		d.gone[e.Ref.BootID] = e.Reason
		return
	}
	delete(d.boots, e.Ref.BootID)
	if d.boxes[e.Ref.ID] == b {
		delete(d.boxes, e.Ref.ID)
	}
	b.end(e.Reason)
}

// take makes the box of a sandbox that the keeper described.
func (d *Driver) take(ctx context.Context, desc *privileged.Description) (*box, error) {
	b, err := newBox(ctx, d, desc)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if reason, ok := d.gone[desc.BootID]; ok {
		delete(d.gone, desc.BootID)
		b.end(reason)
		return b, nil
	}
	d.boxes[desc.ID], d.boots[desc.BootID] = b, b
	return b, nil
}

// Get returns a running sandbox.
func (d *Driver) Get(id string) (sandbox.Sandbox, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b := d.boxes[id]; b != nil && b.isReady() {
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
		if b.isReady() {
			all = append(all, b)
		}
	}
	return all
}

// CheckBind looks at a bind source.
func (d *Driver) CheckBind(ctx context.Context, path string) (sandbox.BindKind, error) {
	var n privileged.Number
	err := d.call(ctx, privileged.OpCheckBind, &privileged.Path{Path: path}, &n)
	return sandbox.BindKind(n.N), err
}

// ConnectSocket connects to a socket of the host.
func (d *Driver) ConnectSocket(ctx context.Context, path string) (*os.File, error) {
	f, err := d.client.Call(ctx, privileged.OpConnectSocket, &privileged.Path{Path: path}, nil)
	if err == nil && f == nil {
		err = fmt.Errorf("connect to %s: the keeper gave no descriptor: %w", path, errdefs.ErrInternal)
	}
	return f, err
}
