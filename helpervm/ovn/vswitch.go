package ovn

import (
	"context"
	"fmt"
	"maps"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/arca-engine/arca/helpervm/daemon"
)

// chassis is the name of this one among OVN's chassis.
const chassis = "arca"

// settings of Open_vSwitch that ovn-controller reads.
func (p *Plane) settings() map[string]string {
	return map[string]string{
		"system-id":                chassis,
		"ovn-remote":               p.endpoint,
		"ovn-encap-type":           "geneve", // There is no other chassis, and so no tunnel and no open port.
		"ovn-encap-ip":             "127.0.0.1",
		"ovn-bridge":               daemon.Bridge,
		"ovn-bridge-datapath-type": "netdev",
		"ovn-monitor-all":          "true",
		// Memory counts more than the time of a change: this is the slow path of one machine.
		"ovn-memlimit-lflow-cache-kb": "4096",
	}
}

// configure makes OVS's configuration: the settings, the bridge, and the trunk as its port; an empty name takes it away.
func (p *Plane) configure(ctx context.Context, s *session, trunk string) error {
	b := &batch{client: s.client}
	root, err := p.root(ctx, s, b)
	if err != nil {
		return err
	}
	br, err := theBridge(ctx, s)
	if err != nil {
		return err
	}
	have, err := trunks(ctx, s)
	if err != nil {
		return err
	}
	if br == nil {
		b.createBridge(root, trunk)
	} else {
		b.changeTrunk(br, have, trunk)
	}
	if b.err != nil {
		return fmt.Errorf("make a transaction of OVS: %w", b.err)
	}
	if len(b.ops) == 0 {
		return nil
	}
	// ovs-vswitchd tells in cur_cfg that it has done what it was told up to next_cfg.
	b.mutate(root, model.Mutation{Field: &root.NextCfg, Mutator: ovsdb.MutateOperationAdd, Value: 1})
	if b.err != nil {
		return fmt.Errorf("make a transaction of OVS: %w", b.err)
	}
	if _, err := s.transact(ctx, b.ops); err != nil {
		return fmt.Errorf("configure OVS: %w", err)
	}
	return nil
}

// root is the one row of Open_vSwitch, with our settings once the batch is committed.
func (p *Plane) root(ctx context.Context, s *session, b *batch) (*openVSwitch, error) {
	var list []openVSwitch
	if err := s.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("read Open_vSwitch: %w", err)
	}
	if len(list) == 0 {
		// One thread of each kind is enough for a slow path, and saves memory.
		root := &openVSwitch{UUID: b.name(), ExternalIDs: p.settings(), OtherConfig: map[string]string{"n-handler-threads": "1", "n-revalidator-threads": "1"}}
		b.create(root)
		return root, nil
	}
	root := &list[0]
	for k, v := range p.settings() {
		if root.ExternalIDs[k] != v {
			maps.Copy(root.ExternalIDs, p.settings())
			b.update(root, &root.ExternalIDs)
			break
		}
	}
	return root, nil
}

func theBridge(ctx context.Context, s *session) (*bridge, error) {
	var list []bridge
	if err := s.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("read Bridge: %w", err)
	}
	for i := range list {
		if list[i].Name == daemon.Bridge {
			return &list[i], nil
		}
	}
	return nil, nil
}

// trunks are the ports that can be our trunk, by name: all but the bridge's own and those that ovn-controller makes.
func trunks(ctx context.Context, s *session) (map[string]string, error) {
	var list []port
	if err := s.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("read Port: %w", err)
	}
	names := map[string]string{}
	for _, p := range list {
		if p.Name != daemon.Bridge {
			names[p.Name] = p.UUID
		}
	}
	return names, nil
}

func (b *batch) createPorts(names ...string) []string {
	references := make([]string, 0, len(names))
	for _, name := range names {
		i := &netInterface{UUID: b.name(), Name: name, ExternalIDs: map[string]string{"iface-id": trunkPort}}
		if name == daemon.Bridge {
			i.Type, i.ExternalIDs = "internal", nil
		}
		b.create(i)
		p := &port{UUID: b.name(), Name: name, Interfaces: []string{i.UUID}}
		b.create(p)
		references = append(references, p.UUID)
	}
	return references
}

func (b *batch) createBridge(root *openVSwitch, trunk string) {
	names := []string{daemon.Bridge}
	if trunk != "" {
		names = append(names, trunk)
	}
	secure := "secure" // Without ovn-controller's flows nothing passes.
	br := &bridge{UUID: b.name(), Name: daemon.Bridge, DatapathType: "netdev", FailMode: &secure,
		OtherConfig: map[string]string{"disable-in-band": "true"}, Ports: b.createPorts(names...)}
	b.create(br)
	b.mutate(root, model.Mutation{Field: &root.Bridges, Mutator: ovsdb.MutateOperationInsert, Value: []string{br.UUID}})
}

func (b *batch) changeTrunk(br *bridge, have map[string]string, trunk string) {
	var gone []string
	for name, uuid := range have {
		if name != trunk {
			gone = append(gone, uuid)
		}
	}
	target := &bridge{UUID: br.UUID}
	if len(gone) > 0 {
		b.mutate(target, model.Mutation{Field: &target.Ports, Mutator: ovsdb.MutateOperationDelete, Value: gone})
	}
	if _, ok := have[trunk]; !ok && trunk != "" {
		b.mutate(target, model.Mutation{Field: &target.Ports, Mutator: ovsdb.MutateOperationInsert, Value: b.createPorts(trunk)})
	}
}
