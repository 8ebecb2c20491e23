package resolver

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is that of our table in a container's namespace.
const tableName = "arca"

// loopback is the index of lo in every namespace.
const loopback = 1

// addRules rewrites port 53 of Address to port, and back in the answers, in the thread's namespace. A test puts a kernel
// without nftables in its place.
var addRules = func(port uint16) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName})
	chain := c.AddChain(&nftables.Chain{Name: "names", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityMangle})
	add := func(e ...expr.Any) { c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: e}) }
	// What leaves the container costs one comparison.
	add(&expr.Meta{Key: expr.MetaKeyOIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, loopback)},
		&expr.Verdict{Kind: expr.VerdictAccept})
	for _, p := range []struct {
		protocol byte
		checksum uint32
	}{{unix.IPPROTO_UDP, 6}, {unix.IPPROTO_TCP, 16}} {
		add(rewrite(p.protocol, 16, 2, 53, port, p.checksum)...)
		add(rewrite(p.protocol, 12, 0, port, 53, p.checksum)...)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("add rules: %w", err)
	}
	return nil
}

// rewrite is the rule for the packets that have Address in the IP header at address and a port in the other at offset.
func rewrite(protocol byte, address, offset uint32, from, to uint16, checksum uint32) []expr.Any {
	ip := Address.As4()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: address, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ip[:]},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, from)},
		&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, to)},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2,
			CsumType: expr.CsumTypeInet, CsumOffset: checksum},
	}
}

// removeRules removes what addRules has added.
func removeRules() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove rules: %w", err)
	}
	return nil
}
