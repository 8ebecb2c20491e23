package network

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// hostName is the host's name in every container that has names and a way out.
const hostName = "host.docker.internal"

// Names is the table from which the container's resolver answers; nil: it has none.
func (s *Service) Names(container string) *guestv1.NameTable {
	rec, err := s.containers.RecordOf(container)
	if err != nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.runs[container]
	if r == nil {
		return nil
	}
	mine := slices.DeleteFunc(byRank(linked(r.Endpoints), s.networks), func(ep *desired.Endpoint) bool {
		n := s.networks[ep.NetworkID]
		return n == nil || !n.Resolves()
	})
	if len(mine) == 0 {
		return nil
	}
	t := table{answers: map[string][]string{}, pointers: map[string]string{}}
	for _, ep := range mine {
		n := s.networks[ep.NetworkID]
		t.merge(s.domainLocked(n), links(settingsOf(rec, n)), n.Name)
	}
	if host := s.fabric.HostAddress(); host.IsValid() && !s.membershipLocked(r).NoForward {
		if _, ok := t.answers[hostName]; !ok {
			t.answers[hostName] = []string{host.String()}
		}
	}
	return t.message(s.version)
}

// domain is what one network knows.
type domain struct {
	names    map[string][]string // lower case.
	pointers map[string]string
}

func (s *Service) domainLocked(n *desired.Network) *domain {
	d := &domain{names: map[string][]string{}, pointers: map[string]string{}}
	for _, id := range slices.Sorted(maps.Keys(s.runs)) {
		for _, ep := range s.runs[id].Endpoints {
			if ep.NetworkID == n.ID {
				d.add(ep)
			}
		}
	}
	return d
}

func (d *domain) add(ep *desired.Endpoint) {
	for _, p := range []netip.Prefix{ep.IPv4, ep.IPv6} {
		if !p.IsValid() {
			continue
		}
		address := p.Addr().String()
		for i, name := range ep.Names {
			if i == 0 {
				d.pointers[address] = name
			}
			name = strings.ToLower(name)
			if !slices.Contains(d.names[name], address) {
				d.names[name] = append(d.names[name], address)
			}
		}
	}
}

// table is what one container knows. The first of its networks that has a name answers for it, as in dockerd.
type table struct {
	answers  map[string][]string
	pointers map[string]string
}

func (t *table) merge(d *domain, links map[string]string, network string) {
	suffix := "." + strings.ToLower(network)
	put := func(name string, addresses []string) {
		for _, full := range []string{name, name + suffix} {
			if _, ok := t.answers[full]; !ok {
				t.answers[full] = addresses
			}
		}
	}
	for alias, name := range links {
		if addresses, ok := d.names[name]; ok {
			put(alias, addresses)
		}
	}
	for name, addresses := range d.names {
		if _, hidden := links[name]; !hidden {
			put(name, addresses)
		}
	}
	for address, name := range d.pointers {
		if _, ok := t.pointers[address]; !ok {
			t.pointers[address] = name + "." + network
		}
	}
}

func (t *table) message(generation uint64) *guestv1.NameTable {
	out := &guestv1.NameTable{Generation: generation}
	for _, name := range slices.Sorted(maps.Keys(t.answers)) {
		out.Names = append(out.Names, &guestv1.Name{Name: name, Addresses: t.answers[name]})
	}
	for _, address := range slices.Sorted(maps.Keys(t.pointers)) {
		out.Pointers = append(out.Pointers, &guestv1.Pointer{Address: address, Name: t.pointers[address]})
	}
	return out
}

// links are the names of other containers that an endpoint calls by names of its own: alias to name.
func links(settings *network.EndpointSettings) map[string]string {
	out := map[string]string{}
	for _, link := range settings.Links {
		name, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = name
		}
		out[strings.ToLower(alias)] = strings.ToLower(strings.TrimPrefix(name, "/"))
	}
	return out
}

// settingsOf are a container's wishes about a network; never nil.
func settingsOf(rec *record.Container, n *desired.Network) *network.EndpointSettings {
	for _, ref := range []string{n.Name, n.ID} {
		if settings := rec.Networking[ref]; settings != nil {
			return settings
		}
	}
	for ref, settings := range rec.Networking {
		if settings != nil && len(ref) > 0 && strings.HasPrefix(n.ID, ref) {
			return settings
		}
	}
	return &network.EndpointSettings{}
}

// neighbours are the other running containers whose names change with those of a run.
func (s *Service) neighbours(r *run) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	shared := map[string]bool{}
	for _, ep := range r.Endpoints {
		if n := s.networks[ep.NetworkID]; n != nil && n.Resolves() {
			shared[n.ID] = true
		}
	}
	var out []string
	for id, other := range s.runs {
		if id != r.ContainerID && slices.ContainsFunc(other.Endpoints, func(ep *desired.Endpoint) bool { return shared[ep.NetworkID] }) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
