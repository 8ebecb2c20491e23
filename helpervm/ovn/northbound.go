package ovn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/arca-engine/arca/helpervm/plan"
)

const (
	// trunkSwitch holds the one logical port that is the trunk; all others are nested in it.
	trunkSwitch = "arca-trunk"
	trunkPort   = "arca-trunk"
	// markerKey is where the marker is: it tells that the database holds what we committed.
	markerKey = "arca-marker"
)

// committed is what a logical switch in the database has.
type committed struct {
	uuid  string
	rows  switchRows
	ports map[string]string // UUIDs by name.
}

// northbound is what we know of OVN_Northbound. It is used by one goroutine at a time.
type northbound struct {
	marker string // empty: what the database holds is not known.
	known  map[string]*committed
}

// global is the one row of NB_Global; nil when there is none yet.
func global(ctx context.Context, s *session) (*nbGlobal, error) {
	var list []nbGlobal
	if err := s.client.List(ctx, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, nil
	}
	return &list[0], nil
}

// initialised waits until ovn-northd has made NB_Global, in a database that is new.
func initialised(ctx context.Context, s *session) error {
	for {
		g, err := global(ctx, s)
		if err != nil {
			return fmt.Errorf("read NB_Global: %w", err)
		}
		if g != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.gone:
			return errors.New("the connection was lost")
		case <-time.After(reconnect):
		}
	}
}

// resume finds out whether the database still is what we left. If not, the next commit makes everything anew.
func (n *northbound) resume(ctx context.Context, s *session) error {
	g, err := global(ctx, s)
	if err != nil {
		return fmt.Errorf("read NB_Global: %w", err)
	}
	if g == nil || n.marker == "" || g.ExternalIDs[markerKey] != n.marker {
		n.marker, n.known = "", nil
	}
	return nil
}

// change is one switch's way into a transaction.
type change struct {
	name    string
	removed bool
	next    *committed
	created map[string]int // index of the operation that makes a port.
	self    int            // index of the operation that makes the switch; -1: it exists.
}

// commit makes the named switches as wanted tells; one that wanted lacks goes. With everything unknown it empties the
// database first and makes all of wanted, whatever is named.
func (n *northbound) commit(ctx context.Context, s *session, wanted map[plan.ID]switchRows, names []plan.ID) error {
	b := &batch{client: s.client}
	marker := n.marker
	known := n.known
	if marker == "" {
		var err error
		if marker, err = n.begin(ctx, s, b); err != nil {
			return err
		}
		known = map[string]*committed{}
		names = slices.Collect(maps.Keys(wanted))
	}
	changes := make([]*change, 0, len(names))
	for _, id := range names {
		rows, ok := wanted[id]
		var c *change
		switch old := known[string(id)]; {
		case !ok && old == nil:
			continue
		case !ok:
			b.delete(&logicalSwitch{UUID: old.uuid})
			c = &change{name: string(id), removed: true}
		case old == nil:
			c = b.createSwitch(string(id), rows)
		case old.rows.equal(rows):
			continue
		default:
			c = b.changeSwitch(string(id), old, rows)
		}
		changes = append(changes, c)
	}
	if b.err != nil {
		return fmt.Errorf("make a transaction of OVN: %w", b.err)
	}
	results, err := s.transact(ctx, b.ops)
	if err != nil {
		n.marker, n.known = "", nil // Nobody knows whether it was committed.
		return fmt.Errorf("change OVN: %w", err)
	}
	n.marker, n.known = marker, known
	for _, c := range changes {
		n.remember(c, results)
	}
	return nil
}

// begin empties the database and leaves a new marker in it.
func (n *northbound) begin(ctx context.Context, s *session, b *batch) (marker string, err error) {
	g, err := global(ctx, s)
	if err != nil {
		return "", fmt.Errorf("read NB_Global: %w", err)
	}
	if g == nil {
		return "", errors.New("there is no NB_Global")
	}
	// Every row: libovsdb leaves an empty condition out.
	every := ovsdb.NewCondition("_uuid", ovsdb.ConditionNotEqual, ovsdb.UUID{GoUUID: "00000000-0000-0000-0000-000000000000"})
	b.ops = append(b.ops, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: "Logical_Switch", Where: []ovsdb.Condition{every}})
	trunk := &logicalSwitchPort{UUID: b.name(), Name: trunkPort, Addresses: []string{"unknown"}}
	b.create(trunk)
	b.create(&logicalSwitch{UUID: b.name(), Name: trunkSwitch, Ports: []string{trunk.UUID}})
	marker = strings.ToLower(rand.Text())
	g.ExternalIDs = map[string]string{markerKey: marker}
	b.update(g, &g.ExternalIDs)
	return marker, nil
}

func (n *northbound) remember(c *change, results []ovsdb.OperationResult) {
	if c.removed {
		delete(n.known, c.name)
		return
	}
	for name, i := range c.created {
		c.next.ports[name] = results[i].UUID.GoUUID
	}
	if c.self >= 0 {
		c.next.uuid = results[c.self].UUID.GoUUID
	}
	n.known[c.name] = c.next
}

func (b *batch) createPort(name string, r portRow) (reference string, index int) {
	parent, tag := trunkPort, r.tag
	p := &logicalSwitchPort{UUID: b.name(), Name: name, Addresses: []string{r.addresses}, PortSecurity: []string{r.security}, ParentName: &parent, TagRequest: &tag}
	return p.UUID, b.create(p)
}

func (b *batch) createACLs(rows []aclRow) []string {
	references := make([]string, 0, len(rows))
	for _, r := range rows {
		a := &acl{UUID: b.name(), Priority: r.priority, Direction: "to-lport", Match: r.match, Action: r.action}
		b.create(a)
		references = append(references, a.UUID)
	}
	return references
}

func (b *batch) createSwitch(name string, rows switchRows) *change {
	c := &change{name: name, created: map[string]int{}, next: &committed{rows: rows, ports: map[string]string{}}}
	ls := &logicalSwitch{UUID: b.name(), Name: name}
	for _, p := range slices.Sorted(maps.Keys(rows.ports)) {
		reference, index := b.createPort(p, rows.ports[p])
		ls.Ports = append(ls.Ports, reference)
		c.created[p] = index
	}
	ls.ACLs = b.createACLs(rows.acls)
	c.self = b.create(ls)
	return c
}

// changeSwitch touches what differs and nothing else.
func (b *batch) changeSwitch(name string, old *committed, rows switchRows) *change {
	c := &change{name: name, self: -1, created: map[string]int{}, next: &committed{uuid: old.uuid, rows: rows, ports: maps.Clone(old.ports)}}
	ls := &logicalSwitch{UUID: old.uuid}
	var gone, made []string
	for _, p := range slices.Sorted(maps.Keys(old.rows.ports)) {
		before := old.rows.ports[p]
		after, ok := rows.ports[p]
		switch {
		case !ok || after.tag != before.tag: // A port's VLAN is not changed: the port is made anew.
			gone = append(gone, old.ports[p])
			delete(c.next.ports, p)
		case after != before:
			lsp := &logicalSwitchPort{UUID: old.ports[p], Addresses: []string{after.addresses}, PortSecurity: []string{after.security}}
			b.update(lsp, &lsp.Addresses, &lsp.PortSecurity)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(rows.ports)) {
		if _, ok := c.next.ports[p]; !ok {
			reference, index := b.createPort(p, rows.ports[p])
			made = append(made, reference)
			c.created[p] = index
		}
	}
	if len(gone) > 0 {
		b.mutate(ls, model.Mutation{Field: &ls.Ports, Mutator: ovsdb.MutateOperationDelete, Value: gone})
	}
	if len(made) > 0 {
		b.mutate(ls, model.Mutation{Field: &ls.Ports, Mutator: ovsdb.MutateOperationInsert, Value: made})
	}
	if !slices.Equal(old.rows.acls, rows.acls) {
		ls.ACLs = b.createACLs(rows.acls)
		b.update(ls, &ls.ACLs)
	}
	return c
}
