package layer3

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/helpervm/plan"
)

// Expressions of nftables, one function a phrase of the nft language. Register 1 holds what is compared.

const (
	icmpEcho       = 8
	icmp6Echo      = 128
	icmp6Solicit   = 135
	icmp6Advertise = 136
	// forwardedMark is on packets that shall be masqueraded.
	forwardedMark = 0xa5ca
)

func phrase(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}
}

func interfaceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

func inInterface(name string) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyIIFNAME), equal(interfaceName(name))}
}

func outInterface(name string) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyOIFNAME), equal(interfaceName(name))}
}

// byInterface goes to the chain that a map has for the interface, if any.
func byInterface(key expr.MetaKey, m *nftables.Set) []expr.Any {
	return []expr.Any{meta(key), &expr.Lookup{SourceRegister: 1, DestRegister: 0, IsDestRegSet: true, SetName: m.Name, SetID: m.ID}}
}

func family(is4 bool) []expr.Any {
	proto := byte(unix.NFPROTO_IPV6)
	if is4 {
		proto = unix.NFPROTO_IPV4
	}
	return []expr.Any{meta(expr.MetaKeyNFPROTO), equal([]byte{proto})}
}

func protocol(p byte) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyL4PROTO), equal([]byte{p})}
}

func transport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func icmpType(is4 bool, kind byte) []expr.Any {
	p := byte(unix.IPPROTO_ICMPV6)
	if is4 {
		p = unix.IPPROTO_ICMP
	}
	return phrase(protocol(p), []expr.Any{transport(0, 1), equal([]byte{kind})})
}

// toPorts compares the destination's port.
func toPorts(first, last uint16) []expr.Any {
	return []expr.Any{transport(2, 2), &expr.Range{Op: expr.CmpOpEq, Register: 1,
		FromData: binary.BigEndian.AppendUint16(nil, first), ToData: binary.BigEndian.AppendUint16(nil, last)}}
}

// notToPort compares the destination's port with another one.
func notToPort(port uint16) []expr.Any {
	return []expr.Any{transport(2, 2), &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)}}
}

// destination replaces the destination's address.
func destination(to netip.Addr) []expr.Any {
	f := uint32(unix.NFPROTO_IPV6)
	if to.Is4() {
		f = unix.NFPROTO_IPV4
	}
	return []expr.Any{&expr.Immediate{Register: 1, Data: to.AsSlice()}, &expr.NAT{Type: expr.NATTypeDestNAT, Family: f, RegAddrMin: 1}}
}

func loadAddress(is4, source bool) expr.Any {
	load := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader}
	switch {
	case is4 && source:
		load.Offset, load.Len = 12, 4
	case is4:
		load.Offset, load.Len = 16, 4
	case source:
		load.Offset, load.Len = 8, 16
	default:
		load.Offset, load.Len = 24, 16
	}
	return load
}

// within compares an address with one prefix, of which it knows the family already.
func within(p netip.Prefix, source bool) []expr.Any {
	size := p.Addr().BitLen() / 8
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{loadAddress(p.Addr().Is4(), source),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(size), Mask: mask, Xor: make([]byte, size)},
		equal(p.Masked().Addr().AsSlice())}
}

// established are answers, and errors about what was allowed.
func established(bits uint32) []expr.Any {
	return []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)}}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

func gotoChain(name string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: name}}
}

func count(counter string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}}
}

func setMark() []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(forwardedMark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}}
}

func hasMark() []expr.Any {
	return []expr.Any{meta(expr.MetaKeyMARK), equal(binaryutil.NativeEndian.PutUint32(forwardedMark))}
}

// merge sorts prefixes and leaves out those that others contain: the intervals of a set must not overlap.
func merge(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var merged []netip.Prefix
	for _, p := range list {
		if n := len(merged); n == 0 || !merged[n-1].Contains(p.Addr()) {
			merged = append(merged, p)
		}
	}
	return merged
}

// after is the first address behind a prefix; invalid when there is none.
func after(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last.Next()
}

// policy is a rule's protocols and ports, one phrase each.
func policy(r plan.Rule, is4 bool) [][]expr.Any {
	switch {
	case r.Protocol == "icmp" && is4:
		return [][]expr.Any{protocol(unix.IPPROTO_ICMP)}
	case r.Protocol == "icmp":
		return [][]expr.Any{protocol(unix.IPPROTO_ICMPV6)}
	case r.Protocol == "" && r.PortFirst == 0:
		return [][]expr.Any{nil}
	}
	var list [][]expr.Any
	for _, p := range []struct {
		name   string
		number byte
	}{{"tcp", unix.IPPROTO_TCP}, {"udp", unix.IPPROTO_UDP}} {
		if r.Protocol != "" && r.Protocol != p.name {
			continue
		}
		e := protocol(p.number)
		if r.PortFirst != 0 {
			e = phrase(e, toPorts(r.PortFirst, r.PortLast))
		}
		list = append(list, e)
	}
	return list
}
