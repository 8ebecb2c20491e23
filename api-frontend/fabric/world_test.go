package fabric

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
	"github.com/arca-engine/arca/api-frontend/store"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// fakeImages unpacks anything to one layer.
type fakeImages struct {
	mu       sync.Mutex
	unpacked int
}

var layer = strings.Repeat("ab", 32)

func (f *fakeImages) Unpack(_ context.Context, r io.Reader) (*image.Unpacked, func(), error) {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unpacked++
	return &image.Unpacked{Layers: []string{layer}, Config: dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{Entrypoint: []string{"run"}}}}, func() {}, nil
}

func (f *fakeImages) HasDisks(...string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unpacked > 0
}

// fakeControl is the helper's program: it forgets everything when its sandbox ends.
type fakeControl struct {
	networkv1.UnimplementedControlServer
	mu        sync.Mutex
	synced    bool
	networks  map[string]*networkv1.Network
	endpoints map[string]*networkv1.Endpoint
	resyncs   int
	uplink    *networkv1.Uplink
	fail      error // of every call but Health.
	silent    error // of Health.
}

func (c *fakeControl) Health(context.Context, *networkv1.HealthRequest) (*networkv1.HealthResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &networkv1.HealthResponse{Ready: true, Synced: c.synced}, c.silent
}

func (c *fakeControl) Resync(_ context.Context, req *networkv1.ResyncRequest) (*networkv1.ResyncResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return nil, c.fail
	}
	c.networks, c.endpoints = map[string]*networkv1.Network{}, map[string]*networkv1.Endpoint{}
	for _, n := range req.State.Networks {
		c.networks[n.Id] = n
	}
	for _, ep := range req.State.Endpoints {
		c.endpoints[ep.Id] = ep
	}
	c.uplink, c.synced = req.State.Uplink, true
	c.resyncs++
	return &networkv1.ResyncResponse{}, nil
}

func (c *fakeControl) ApplyNetworks(_ context.Context, req *networkv1.ApplyNetworksRequest) (*networkv1.ApplyNetworksResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range req.Networks {
		if c.fail == nil {
			c.networks[n.Id] = n
		}
	}
	return &networkv1.ApplyNetworksResponse{}, c.fail
}

func (c *fakeControl) RemoveNetworks(_ context.Context, req *networkv1.RemoveNetworksRequest) (*networkv1.RemoveNetworksResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range req.Ids {
		delete(c.networks, id)
	}
	return &networkv1.RemoveNetworksResponse{}, c.fail
}

func (c *fakeControl) ApplyEndpoints(_ context.Context, req *networkv1.ApplyEndpointsRequest) (*networkv1.ApplyEndpointsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ep := range req.Endpoints {
		if c.fail == nil {
			c.endpoints[ep.Id] = ep
		}
	}
	return &networkv1.ApplyEndpointsResponse{}, c.fail
}

func (c *fakeControl) RemoveEndpoints(_ context.Context, req *networkv1.RemoveEndpointsRequest) (*networkv1.RemoveEndpointsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range req.Ids {
		delete(c.endpoints, id)
	}
	return &networkv1.RemoveEndpointsResponse{}, c.fail
}

func (c *fakeControl) knows() (networks, endpoints []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.networks)), slices.Sorted(maps.Keys(c.endpoints))
}

func (c *fakeControl) set(f func(c *fakeControl)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

// handed is a listener whose connections are handed to it.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *handed) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *handed) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *handed) Addr() net.Addr { return &net.UnixAddr{} }

// watched tells when a connection is closed.
type watched struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (w *watched) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// world is a fabric over a fake vmhelper with a fake helper in it.
type world struct {
	t       *testing.T
	dir     string
	helper  *sandboxtest.Helper
	control *fakeControl
	images  *fakeImages
	desired *desired.State

	store     *store.Store
	client    *sandbox.Client
	sandboxes *sandbox.Manager
	fabric    *Fabric
	cancel    context.CancelCauseFunc
	ran       sync.WaitGroup
}

func newWorld(t *testing.T) *world {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	w := &world{t: t, dir: t.TempDir(), control: &fakeControl{}, images: &fakeImages{}, desired: &desired.State{}}
	l := &handed{conns: make(chan net.Conn), done: make(chan struct{})}
	server := grpc.NewServer()
	networkv1.RegisterControlServer(server, w.control)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // It ends with Stop.
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	w.helper = sandboxtest.New(t, nil)
	w.helper.Connect = func(_, path string, c net.Conn) error {
		if path != controlPath {
			return errors.New("no such socket")
		}
		k := &watched{Conn: c, closed: make(chan struct{})}
		select {
		case l.conns <- k:
			<-k.closed
		case <-l.done:
		}
		return nil
	}
	if err := os.WriteFile(filepath.Join(w.dir, "image.tar"), []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	if w.store, err = store.Open(filepath.Join(w.dir, "state.db")); err != nil {
		w.t.Fatal(err)
	}
	if w.client, err = sandbox.NewClient(w.helper.Sockets()); err != nil {
		w.t.Fatal(err)
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: testWriter{w.t}})
	w.sandboxes = sandbox.NewManager(w.client, log)
	w.fabric, err = New(Config{
		Sandboxes: w.sandboxes, Images: w.images, Store: w.store, EngineID: "engine", ImagePath: filepath.Join(w.dir, "image.tar"),
		LogPath: filepath.Join(w.dir, "helper.log"), StatePath: filepath.Join(w.dir, "helper.json"),
		World: oci.World{Devices: oneDevice{}, Capabilities: []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BROADCAST", "CAP_SYS_NICE", "CAP_IPC_LOCK"}}, Log: log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.fabric.Use(func() *desired.State { return w.desired })
	ctx, cancel := context.WithCancelCause(context.Background())
	w.cancel = cancel
	w.ran.Go(func() { _ = w.sandboxes.Run(ctx, reconciler{w.fabric}) })
	w.ran.Go(func() {
		if err := w.fabric.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	if err := w.sandboxes.Ready(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// stop ends the frontend; the helper runs on.
func (w *world) stop() {
	if w.cancel == nil {
		return
	}
	w.cancel(errors.New("the test stops it"))
	w.cancel = nil
	w.ran.Wait()
	_ = w.client.Close()
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// reconciler is what the containers do with the sandboxes that are not the fabric's: there are none.
type reconciler struct{ f *Fabric }

func (r reconciler) Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) error {
	_, err := r.f.Reconcile(ctx, running)
	return err
}

type oneDevice struct{}

func (oneDevice) All() ([]specs.LinuxDevice, error) { return nil, nil }
func (oneDevice) At(path string) ([]specs.LinuxDevice, error) {
	return []specs.LinuxDevice{{Path: path, Type: "c", Major: 10, Minor: 200}}, nil
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// eventually polls: what it waits for has no notification of its own.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func (w *world) up() {
	w.t.Helper()
	w.eventually("the helper to be up", func() bool { return w.fabric.helper.current() != nil })
}

func hexID(c string) string { return strings.Repeat(c, 64) }

func sampleNetwork(id string) *desired.Network {
	return &desired.Network{
		ID: hexID(id), Name: "net-" + id, Driver: "bridge", Generation: 1, Masquerade: true,
		Pools:   []desired.Pool{{Subnet: netip.MustParsePrefix("172.18.0.0/16"), Gateway: netip.MustParseAddr("172.18.0.1")}},
		Gateway: &desired.Gateway{EndpointID: hexID(id + "9")[:64], Link: "g" + hexID(id)[:12], MAC: []byte{2, 0, 0, 0, 0, 1}, OVSTag: 7, Tag: 3},
	}
}

func sampleEndpoint(id, network string) *desired.Endpoint {
	return &desired.Endpoint{
		ID: hexID(id), NetworkID: hexID(network), ContainerID: hexID("c"), SandboxID: hexID("c"), Generation: 1, Link: "e" + hexID(id)[:11],
		OVSTag: 8, MAC: []byte{2, 0, 0, 0, 0, 2}, IPv4: netip.MustParsePrefix("172.18.0.2/16"), IPv6: netip.MustParsePrefix("fd00::2/64"),
		Interface: "eth0", Ports: []desired.Port{{ID: "port-" + id, Protocol: "tcp", ContainerPort: 80, HostIPs: []netip.Addr{netip.IPv4Unspecified()}, First: 8080}},
	}
}
