package network

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Service knows the predefined networks.
type Service struct {
	events     Publisher
	containers Reader
	networks   []network.Network // sorted by name.
}

// New makes the networks of the engine with this ID, which was made at created. Tell it the containers with Use.
func New(events Publisher, engineID string, created time.Time) *Service {
	s := &Service{events: events}
	for _, n := range []struct{ name, driver string }{{network.NetworkBridge, "bridge"}, {network.NetworkHost, "host"}, {network.NetworkNone, "null"}} {
		s.networks = append(s.networks, network.Network{
			Name: n.name, ID: hash(engineID, n.name), Created: created, Scope: "local", Driver: n.driver, EnableIPv4: true,
			IPAM: network.IPAM{Driver: "default", Config: []network.IPAMConfig{}}, Options: map[string]string{}, Labels: map[string]string{},
		})
	}
	return s
}

// Use sets the containers, before the service is used.
func (s *Service) Use(c Reader) { s.containers = c }

// ID is the ID of a predefined network; of another name it is empty.
func (s *Service) ID(name string) string {
	for _, n := range s.networks {
		if n.Name == name {
			return n.ID
		}
	}
	return ""
}

// Endpoint is the ID of a run's place in a network; it differs between runs.
func Endpoint(networkID string, c *record.Container) string {
	return hash(networkID, c.ID, c.State.StartedAt.UTC().Format(time.RFC3339Nano))
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// find finds a network by its ID, its name or the beginning of its ID.
func (s *Service) find(ref string) (network.Network, error) {
	var found []network.Network
	for _, n := range s.networks {
		if n.ID == ref || n.Name == ref {
			return n, nil
		}
		if ref != "" && strings.HasPrefix(n.ID, ref) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return network.Network{}, notFound(ref)
	case 1:
		return found[0], nil
	}
	return network.Network{}, ambiguous(ref, len(found))
}

// show adds who runs in a network.
func (s *Service) show(n network.Network) network.Inspect {
	out := network.Inspect{Network: n, Containers: map[string]network.EndpointResource{}}
	for _, c := range s.containers.Records() {
		if c.State.IsRunning() && c.HostConfig.NetworkMode.NetworkName() == n.Name {
			out.Containers[c.ID] = network.EndpointResource{Name: c.Name, EndpointID: Endpoint(n.ID, c)}
		}
	}
	return out
}

// Inspect shows one network.
func (s *Service) Inspect(ref string) (network.Inspect, error) {
	n, err := s.find(ref)
	if err != nil {
		return network.Inspect{}, err
	}
	return s.show(n), nil
}

// predefined says whether a network of this name cannot be made.
func predefined(name string) bool {
	return slices.Contains([]string{network.NetworkDefault, network.NetworkBridge, network.NetworkHost, network.NetworkNone}, name)
}
