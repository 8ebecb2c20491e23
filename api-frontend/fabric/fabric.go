package fabric

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/store"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Config is what a fabric is made of.
type Config struct {
	Sandboxes *sandbox.Manager
	Images    Images
	Store     *store.Store
	EngineID  string
	ImagePath string // of the helper's image; empty: there is none.
	LogPath   string // of the helper's output.
	StatePath string // where the helper's state is told to `arca status`.
	// Denied are addresses of the host that no container may reach: our own listeners.
	Denied []string
	World  oci.World
	Log    hclog.Logger
}

// Fabric implements network.Fabric.
type Fabric struct {
	client    *sandbox.Client
	sandboxes *sandbox.Manager
	log       hclog.Logger
	table     *table
	uplink    uplink
	denied    []string
	helper    *helper
	state     func() *desired.State

	mu         sync.Mutex
	routes     []netip.Prefix
	routesRead time.Time
}

var _ network.Fabric = (*Fabric)(nil)

// New makes a fabric. Tell it the desired state with Use, then call Run.
func New(cfg Config) (*Fabric, error) {
	routes, err := hostRoutes()
	if err != nil {
		cfg.Log.Warn("read the host's routes", "error", err)
	}
	up, err := loadUplink(cfg.Store, routes)
	if err != nil {
		return nil, err
	}
	f := &Fabric{
		client: cfg.Sandboxes.Client(), sandboxes: cfg.Sandboxes, log: cfg.Log, table: newTable(), uplink: up, denied: cfg.Denied,
		routes: routes, routesRead: time.Now(),
	}
	if f.helper, err = newHelper(f, cfg); err != nil {
		return nil, err
	}
	return f, nil
}

// Use sets where the committed state is read, before Run and before the first reconciliation, and reads it.
func (f *Fabric) Use(state func() *desired.State) {
	f.state = state
	s := state()
	for _, n := range s.Networks {
		if bridged(n) {
			f.table.putNetwork(n)
		}
	}
	for _, ep := range s.Endpoints {
		if ep.Link != "" { // Else it is in the host's network, or in none.
			f.table.putEndpoints(ep)
		}
	}
}

// Run keeps the helper running until ctx ends; the helper runs on.
func (f *Fabric) Run(ctx context.Context) error { return f.helper.run(ctx) }

// Reconcile implements container.Fabric: vmhelper is there again, and knows nothing of networks but published ports.
func (f *Fabric) Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) (others []*vmhelperv1.Sandbox, err error) {
	if err := f.syncRelay(ctx); err != nil {
		return nil, err
	}
	if err := f.syncPublished(ctx); err != nil {
		return nil, err
	}
	listed := false
	for _, sb := range running {
		if sb.Id == f.helper.id {
			listed = true
			continue
		}
		others = append(others, sb)
	}
	if listed {
		f.helper.found() // It is taken up beside the containers.
	}
	if s, _ := f.table.snapshot(); len(s.Endpoints) > 0 {
		f.helper.need()
	}
	return others, nil
}

// Prepare boots the helper: a container was made that will need it.
func (f *Fabric) Prepare() { f.helper.need() }

// Owns tells whether a sandbox, or a writable layer, is the fabric's own.
func (f *Fabric) Owns(id string) bool { return id == f.helper.id }

// Shutdown ends the helper.
func (f *Fabric) Shutdown(ctx context.Context) { f.helper.shutdown(ctx) }

func (f *Fabric) features() *vmhelperv1.Features { return f.sandboxes.Info().GetFeatures() }

// LinkTrunk tells whether one link carries all endpoints of a sandbox.
func (f *Fabric) LinkTrunk() bool { return f.features().GetLinkTrunk() }

// MTU is the MTU of a network that names none: the largest that a link carries and the way out takes. Nothing of a
// container's packets reaches a wire of the host's, so none has to fit one, and what a user-space switch costs, it costs
// by the packet: with 1500 two containers get 0.56 of a Linux bridge's throughput, with this 0.92 (docs/NETWORK_ARCHITECTURE.md).
func (f *Fabric) MTU() uint32 {
	if m := f.features().GetLinkMtu(); m > 0 {
		return min(m, uplinkMTU)
	}
	return desired.InspectedMTU
}
