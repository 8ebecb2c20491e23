package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/store"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

var made = time.Date(2025, 1, 2, 3, 4, 5, 6, time.UTC)

// world is a fake of the fabric, the containers and the event bus.
type world struct {
	mu       sync.Mutex
	records  map[string]*record.Container
	told     []string         // events.
	calls    []string         // of the fabric and to containers, in order.
	fail     map[string]error // by the call's first word.
	networks map[string]*desired.Network
	granted  map[string]*desired.Endpoint
	open     map[string]desired.Port
	links    map[string]bool
	names    map[string]*guestv1.NameTable
	deaf     map[string]bool // containers that take no names.
	plugged  map[string]*desired.Membership
	reserved []netip.Prefix
	trunk    bool
	nextPort uint16
	once     string // the call that fails next.
}

var (
	_ Fabric     = (*world)(nil)
	_ Containers = (*world)(nil)
	_ Publisher  = bus{}
)

func newWorld() *world {
	return &world{
		records: map[string]*record.Container{}, fail: map[string]error{}, networks: map[string]*desired.Network{}, granted: map[string]*desired.Endpoint{},
		open: map[string]desired.Port{}, links: map[string]bool{}, names: map[string]*guestv1.NameTable{}, deaf: map[string]bool{},
		plugged: map[string]*desired.Membership{}, nextPort: 32768,
	}
}

func (w *world) call(verb, what string) error {
	w.calls = append(w.calls, verb+" "+what)
	if w.once == verb {
		w.once = ""
		return errors.New(verb + " fails on purpose")
	}
	return w.fail[verb]
}

func (w *world) ApplyNetwork(_ context.Context, n *desired.Network) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.call("apply", n.Name); err != nil {
		return err
	}
	w.networks[n.ID] = n
	return nil
}

func (w *world) RemoveNetwork(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.networks, id)
	return w.call("remove", id)
}

func (w *world) Grant(_ context.Context, eps ...*desired.Endpoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ep := range eps {
		if err := w.call("grant", ep.Names[0]+"@"+ep.Interface); err != nil {
			return err
		}
		for _, other := range w.granted {
			if other.ID != ep.ID && other.NetworkID == ep.NetworkID && (other.IPv4 == ep.IPv4 && ep.IPv4.IsValid() || string(other.MAC) == string(ep.MAC)) || other.ID != ep.ID && other.OVSTag == ep.OVSTag {
				return fmt.Errorf("%s and %s have the same of something", other.Names[0], ep.Names[0])
			}
		}
		if old := w.granted[ep.ID]; old != nil && old.Generation >= ep.Generation {
			return fmt.Errorf("%s: generation %d after %d", ep.Names[0], ep.Generation, old.Generation)
		}
		w.granted[ep.ID] = ep
	}
	return nil
}

func (w *world) Revoke(_ context.Context, ids ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		what := "nobody"
		if ep := w.granted[id]; ep != nil {
			what = ep.Names[0] + "@" + ep.Interface
		}
		if err := w.call("revoke", what); err != nil {
			return err
		}
		delete(w.granted, id)
	}
	return nil
}

func (w *world) Publish(_ context.Context, _ *desired.Endpoint, _ *desired.Network, p desired.Port) (uint16, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.call("publish", fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)); err != nil {
		return 0, err
	}
	first, last := p.First, p.Last
	if first == 0 {
		first, last = w.nextPort, 60999
	}
next:
	for port := first; port <= last; port++ {
		for _, other := range w.open {
			if other.HostPort != port || other.Protocol != p.Protocol {
				continue
			}
			if first == last {
				return 0, errdefs.ErrAlreadyExists.WithMessage(fmt.Sprintf("%s:%d is published already", p.HostIPs[0], port))
			}
			continue next
		}
		p.HostPort = port
		w.open[p.ID] = p
		return port, nil
	}
	return 0, errdefs.ErrResourceExhausted.WithMessage("no free port")
}

func (w *world) Unpublish(_ context.Context, ids ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if p, ok := w.open[id]; ok {
			if err := w.call("unpublish", fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)); err != nil {
				return err
			}
		}
		delete(w.open, id)
	}
	return nil
}

func (w *world) AddLink(_ context.Context, ep *desired.Endpoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.call("link", ep.Names[0]+"@"+ep.Interface); err != nil {
		return err
	}
	w.links[ep.Link] = true
	return nil
}

func (w *world) RemoveLink(_ context.Context, ep *desired.Endpoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.links, ep.Link)
	return w.call("unlink", ep.Names[0]+"@"+ep.Interface)
}

func (w *world) Counters(context.Context, ...string) ([]Counters, error) { return nil, nil }
func (w *world) Upstreams(n *desired.Network) []string {
	return []string{n.GatewayAddress(!n.EnableIPv4).String() + ":53"}
}
func (w *world) HostAddress() netip.Addr         { return netip.MustParseAddr("192.168.127.254") }
func (w *world) ReservedSubnets() []netip.Prefix { return w.reserved }
func (w *world) LinkTrunk() bool                 { return w.trunk }
func (w *world) MTU() uint32                     { return 1500 }

func (w *world) Records() []*record.Container {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.records))
}

func (w *world) RecordOf(ref string) (*record.Container, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.records {
		if r.ID == ref || r.Name == ref {
			return r, nil
		}
	}
	return nil, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
}

func (w *world) ChangeNetworking(_ context.Context, id string, f func(*record.Container) error) (*record.Container, error) {
	rec, err := w.RecordOf(id)
	if err != nil {
		return nil, err
	}
	next := rec.Clone()
	if err := f(next); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[id] = next
	return next, nil
}

func (w *world) Plug(_ context.Context, id string, m *desired.Membership) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plugged[id] = m
	return w.call("plug", w.records[id].Name)
}

func (w *world) TellNames(_ context.Context, id string, t *guestv1.NameTable) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf[id] {
		return errdefs.ErrNotFound.WithMessage("it does not run")
	}
	if old := w.names[id]; old != nil && old.GetGeneration() >= t.GetGeneration() {
		return nil // As an agent: it is no newer one.
	}
	w.names[id] = t
	return nil
}

// bus is the world as a publisher.
type bus struct{ *world }

func (b bus) Publish(m events.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, strings.TrimSpace(string(m.Type)+" "+string(m.Action)+" "+m.Actor.Attributes["name"]+m.Actor.Attributes["reclaimed"]))
}

// take returns what was called or told since the last time, and forgets it.
func take(w *world, list *[]string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(*list, ", ")
	*list = nil
	return out
}

// add makes a container in networks.
func (w *world) add(name, mode string, networks map[string]*network.EndpointSettings) *record.Container {
	if networks == nil {
		networks = map[string]*network.EndpointSettings{mode: {}}
	}
	rec := &record.Container{
		ID: hash(name), Name: name, Config: &container.Config{Hostname: "h-" + name}, Networking: networks,
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(mode)}, State: record.State{Status: record.Created},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[rec.ID] = rec
	return rec
}

// open makes a service over a database of its own.
func open(t testing.TB, w *world, settings Settings) *Service {
	t.Helper()
	return reopen(t, w, settings, filepath.Join(t.TempDir(), "state.db"))
}

func reopen(t testing.TB, w *world, settings Settings, path string) *Service {
	t.Helper()
	db, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Store: db, Events: bus{w}, EngineID: "engine", Created: made, Log: hclog.NewNullLogger(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	s.listensV6 = func() bool { return true }
	if err := s.Use(w, w); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		_ = db.Close()
	})
	return s
}

// create makes a network that must be made.
func create(t testing.TB, s *Service, req network.CreateRequest) *desired.Network {
	t.Helper()
	id, err := s.Create(t.Context(), &req)
	if err != nil {
		t.Fatalf("create %s: %v", req.Name, err)
	}
	return s.network(id)
}

// start joins and opens.
func start(t testing.TB, s *Service, rec *record.Container) *desired.Membership {
	t.Helper()
	m, err := s.Join(t.Context(), rec)
	if err != nil {
		t.Fatalf("join %s: %v", rec.Name, err)
	}
	if err := s.Open(t.Context(), m); err != nil {
		t.Fatalf("open %s: %v", rec.Name, err)
	}
	return s.Membership(rec.ID)
}
