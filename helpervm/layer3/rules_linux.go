package layer3

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/helpervm/plan"
)

const (
	tableName   = "arca"
	forwardedAs = "forwarded"
	droppedAs   = "dropped"
	// bufferSize is for transactions: one is one message, and each of its parts is answered.
	bufferSize = 4 << 20
)

// rules is the nftables table. A network has several chains in it, named by a letter and the network's short ID: l for
// what is for the gateway itself, h for what is for the host behind it, o for what goes out, i for what comes in, p and
// q for the policy of both.
type rules struct{}

// letters are the chains of a network.
var letters = []byte("lhoipq")

func connect() (*nftables.Conn, error) {
	c, err := nftables.New(nftables.WithSockOptions(func(s *netlink.Conn) error {
		return errors.Join(s.SetWriteBuffer(bufferSize), s.SetReadBuffer(bufferSize))
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return c, nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

// dispatch are the maps from an interface to a network's chain.
type dispatch struct {
	local, host, out, in *nftables.Set
}

// sets are the maps, by the letter of the chains that they lead to.
func (d dispatch) sets() map[byte]*nftables.Set {
	return map[byte]*nftables.Set{'l': d.local, 'h': d.host, 'o': d.out, 'i': d.in}
}

func dispatchOf(t *nftables.Table) dispatch {
	m := func(name string) *nftables.Set {
		return &nftables.Set{Table: t, Name: name, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeVerdict}
	}
	return dispatch{m("local"), m("host"), m("out"), m("in")}
}

func regular(t *nftables.Table, name string) *nftables.Chain {
	return &nftables.Chain{Table: t, Name: name}
}

func base(t *nftables.Table, name string, hook *nftables.ChainHook, kind nftables.ChainType, priority *nftables.ChainPriority, policy nftables.ChainPolicy) *nftables.Chain {
	return &nftables.Chain{Table: t, Name: name, Hooknum: hook, Type: kind, Priority: priority, Policy: &policy}
}

func input(t *nftables.Table) *nftables.Chain {
	return base(t, "input", nftables.ChainHookInput, nftables.ChainTypeFilter, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
}

func forward(t *nftables.Table) *nftables.Chain {
	return base(t, "forward", nftables.ChainHookForward, nftables.ChainTypeFilter, nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
}

func prerouting(t *nftables.Table) *nftables.Chain {
	return base(t, "prerouting", nftables.ChainHookPrerouting, nftables.ChainTypeNAT, nftables.ChainPriorityNATDest, nftables.ChainPolicyAccept)
}

func postrouting(t *nftables.Table) *nftables.Chain {
	return base(t, "postrouting", nftables.ChainHookPostrouting, nftables.ChainTypeNAT, nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept)
}

// reset makes the table anew, without any network.
func (rules) reset(uplink string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	t := table()
	c.AddTable(t) // So that there is one to delete.
	c.DelTable(t)
	c.AddTable(t)
	c.AddObj(&nftables.CounterObj{Table: t, Name: forwardedAs})
	c.AddObj(&nftables.CounterObj{Table: t, Name: droppedAs})
	m := dispatchOf(t)
	for _, s := range m.sets() {
		if err := c.AddSet(s, nil); err != nil {
			return fmt.Errorf("make map %s: %w", s.Name, err)
		}
	}
	addBase(c, t, m, uplink)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("make the table of rules: %w", err)
	}
	return nil
}

// setUplink makes the base chains anew, for another uplink.
func (rules) setUplink(u plan.Uplink) error {
	c, err := connect()
	if err != nil {
		return err
	}
	t := table()
	for _, chain := range []*nftables.Chain{prerouting(t), input(t), forward(t), postrouting(t)} {
		c.FlushChain(chain)
	}
	addBase(c, t, dispatchOf(t), u.Link)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("change the uplink's rules: %w", err)
	}
	return nil
}

// addBase writes the chains that every packet passes.
func addBase(c *nftables.Conn, t *nftables.Table, m dispatch, uplink string) {
	add := func(chain *nftables.Chain, parts ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: phrase(parts...)})
	}
	answers := established(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	accept, drop := verdict(expr.VerdictAccept), verdict(expr.VerdictDrop)

	pre := c.AddChain(prerouting(t))
	add(pre, byInterface(expr.MetaKeyIIFNAME, m.host))

	in := c.AddChain(input(t))
	add(in, inInterface("lo"), accept)
	add(in, answers, accept)
	for _, kind := range []byte{icmp6Solicit, icmp6Advertise} { // The kernel answers for addresses of the interface alone.
		add(in, icmpType(false, kind), accept)
	}
	add(in, byInterface(expr.MetaKeyIIFNAME, m.local))
	add(in, count(droppedAs), drop)

	fwd := c.AddChain(forward(t))
	add(fwd, count(forwardedAs))
	add(fwd, established(expr.CtStateBitINVALID), count(droppedAs), drop)
	add(fwd, answers, accept)
	if uplink != "" {
		add(fwd, outInterface(uplink), byInterface(expr.MetaKeyIIFNAME, m.out))
		add(fwd, inInterface(uplink), byInterface(expr.MetaKeyOIFNAME, m.in))
	}
	add(fwd, count(droppedAs), drop)

	post := c.AddChain(postrouting(t))
	if uplink != "" {
		add(post, outInterface(uplink), hasMark(), []expr.Any{&expr.Masq{}})
	}
}

// chains of a network.
func chains(t *nftables.Table, id plan.ID) map[byte]*nftables.Chain {
	list := map[byte]*nftables.Chain{}
	for _, letter := range letters {
		list[letter] = regular(t, string(letter)+id.Short())
	}
	return list
}

// set makes a network's chains, all anew, in one transaction.
func (rules) set(n plan.Network, u plan.Uplink) error {
	c, err := connect()
	if err != nil {
		return err
	}
	t := table()
	ch := chains(t, n.ID)
	for _, letter := range letters {
		c.AddChain(ch[letter])
		c.FlushChain(ch[letter])
	}
	addLocal(c, t, ch['l'], n)
	if !n.Internal {
		addHost(c, t, ch['h'], n, u.Host)
		if err := addOut(c, t, ch, n); err != nil {
			return err
		}
		if u.ReachableNetworks {
			if err := addIn(c, t, ch, n); err != nil {
				return err
			}
		}
	}
	// Empty chains let pass what comes to them back to the base chain, which drops it.
	m := dispatchOf(t)
	for letter, s := range m.sets() {
		if err := c.SetAddElements(s, []nftables.SetElement{element(n, ch[letter])}); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set rules: %w", err)
	}
	return nil
}

func element(n plan.Network, chain *nftables.Chain) nftables.SetElement {
	return nftables.SetElement{Key: interfaceName(n.Interface()), VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: chain.Name}}
}

// remove takes a network's chains away.
func (rules) remove(n plan.Network) error {
	c, err := connect()
	if err != nil {
		return err
	}
	t := table()
	ch, m := chains(t, n.ID), dispatchOf(t)
	for letter, s := range m.sets() {
		if err := c.SetDeleteElements(s, []nftables.SetElement{element(n, ch[letter])}); err != nil {
			return err
		}
	}
	for _, letter := range letters {
		c.FlushChain(ch[letter])
	}
	for _, letter := range letters {
		c.DelChain(ch[letter])
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove rules: %w", err)
	}
	return nil
}

// addLocal is what a gateway's address answers: echo requests, and queries for names unless the network is internal.
func addLocal(c *nftables.Conn, t *nftables.Table, chain *nftables.Chain, n plan.Network) {
	for _, g := range n.GatewayAddresses() {
		is4 := g.Addr().Is4()
		self := phrase(family(is4), within(netip.PrefixFrom(g.Addr(), g.Addr().BitLen()), false))
		echo := icmpType(is4, icmp6Echo)
		if is4 {
			echo = icmpType(is4, icmpEcho)
		}
		answers := [][]expr.Any{echo}
		if !n.Internal {
			answers = append(answers, phrase(protocol(unix.IPPROTO_UDP), toPorts(53, 53)), phrase(protocol(unix.IPPROTO_TCP), toPorts(53, 53)))
		}
		for _, a := range answers {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: phrase(self, a, verdict(expr.VerdictAccept))})
		}
	}
}

// addHost leads what is for a gateway's address, but for names, to the host: with dockerd that address is the host's own,
// and tools look there for published ports. From there on it is traffic that leaves, under the network's policy.
func addHost(c *nftables.Conn, t *nftables.Table, chain *nftables.Chain, n plan.Network, host netip.Addr) {
	for _, g := range n.GatewayAddresses() {
		is4 := g.Addr().Is4()
		if !host.IsValid() || host.Is4() != is4 {
			continue
		}
		self := phrase(family(is4), within(netip.PrefixFrom(g.Addr(), g.Addr().BitLen()), false))
		for _, p := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: phrase(self, protocol(p), notToPort(53), destination(host))})
		}
	}
}

// addOut is what may leave: what has a source of the network, and passes the policy.
func addOut(c *nftables.Conn, t *nftables.Table, ch map[byte]*nftables.Chain, n plan.Network) error {
	for _, s := range n.Subnets {
		c.AddRule(&nftables.Rule{Table: t, Chain: ch['o'], Exprs: phrase(family(s.Prefix.Addr().Is4()), within(s.Prefix, true), gotoChain(ch['p'].Name))})
	}
	return addPolicy(c, t, ch['p'], n.Rules, plan.Out, n.Masquerade)
}

// addIn is what may come in from the uplink.
func addIn(c *nftables.Conn, t *nftables.Table, ch map[byte]*nftables.Chain, n plan.Network) error {
	for _, s := range n.Subnets {
		c.AddRule(&nftables.Rule{Table: t, Chain: ch['i'], Exprs: phrase(family(s.Prefix.Addr().Is4()), within(s.Prefix, false), gotoChain(ch['q'].Name))})
	}
	return addPolicy(c, t, ch['q'], n.Rules, plan.In, false)
}

// addPolicy writes the rules of one direction; what none of them names is accepted.
func addPolicy(c *nftables.Conn, t *nftables.Table, chain *nftables.Chain, list []plan.Rule, direction plan.Direction, masquerade bool) error {
	accept := verdict(expr.VerdictAccept)
	if masquerade {
		accept = phrase(setMark(), accept)
	}
	drop := phrase(count(droppedAs), verdict(expr.VerdictDrop))
	for _, r := range list {
		if r.Direction != direction && r.Direction != plan.Any {
			continue
		}
		decision := drop
		if r.Allow {
			decision = accept
		}
		if err := addRule(c, t, chain, r, decision); err != nil {
			return err
		}
	}
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: accept})
	return nil
}

func addRule(c *nftables.Conn, t *nftables.Table, chain *nftables.Chain, r plan.Rule, decision []expr.Any) error {
	v4, v6 := r.Families()
	for _, f := range []struct{ wanted, is4 bool }{{v4, true}, {v6, false}} {
		if !f.wanted {
			continue
		}
		for _, p := range policy(r, f.is4) {
			from, err := among(c, t, plan.Of(r.Sources, f.is4), true)
			if err != nil {
				return err
			}
			to, err := among(c, t, plan.Of(r.Destinations, f.is4), false)
			if err != nil {
				return err
			}
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: phrase(family(f.is4), from, to, p, decision)})
		}
	}
	return nil
}

// among compares an address with prefixes of one family; none: nothing is compared.
func among(c *nftables.Conn, t *nftables.Table, list []netip.Prefix, source bool) ([]expr.Any, error) {
	switch list = merge(list); len(list) {
	case 0:
		return nil, nil
	case 1:
		return within(list[0], source), nil
	}
	is4 := list[0].Addr().Is4()
	set := &nftables.Set{Table: t, Anonymous: true, Constant: true, Interval: true, KeyType: nftables.TypeIP6Addr}
	if is4 {
		set.KeyType = nftables.TypeIPAddr
	}
	var elements []nftables.SetElement
	for _, p := range list {
		elements = append(elements, nftables.SetElement{Key: p.Addr().AsSlice()})
		if end := after(p); end.IsValid() {
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	if err := c.AddSet(set, elements); err != nil {
		return nil, fmt.Errorf("make a set of addresses: %w", err)
	}
	return []expr.Any{loadAddress(is4, source), &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID}}, nil
}

// check tells whether the table is still there.
func (rules) check() error {
	c, err := connect()
	if err != nil {
		return err
	}
	list, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("list tables of rules: %w", err)
	}
	for _, t := range list {
		if t.Name == tableName {
			return nil
		}
	}
	return fmt.Errorf("the table %s of rules is gone", tableName)
}

func (rules) counters() (map[string]uint64, error) {
	c, err := connect()
	if err != nil {
		return nil, err
	}
	list, err := c.GetObjects(table())
	if err != nil {
		return nil, fmt.Errorf("read the counters of rules: %w", err)
	}
	values := map[string]uint64{}
	for _, o := range list {
		if o, ok := o.(*nftables.CounterObj); ok {
			values[o.Name] = o.Packets
		}
	}
	return map[string]uint64{"forwarded_packets": values[forwardedAs], "dropped_packets": values[droppedAs]}, nil
}
