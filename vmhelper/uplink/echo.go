package uplink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/arca-engine/arca/vmhelper/netstack"
)

const (
	maxPings = 256
	pingIdle = 10 * time.Second
)

// pingKey names a run of echo requests.
type pingKey struct {
	from, to netip.Addr
	ident    uint16
}

// ping carries one by a socket of the host that needs no privilege, where the host allows it (ping_group_range).
type ping struct {
	key pingKey
	c   net.Conn
}

type pings struct {
	mu   sync.Mutex
	all  map[pingKey]*ping
	over bool
}

func (p *pings) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for _, one := range p.all {
		_ = one.c.Close() // Its reader ends.
	}
}

// echo sends an echo request on. It runs on the goroutine that delivers frames and does not wait.
func (e *end) echo(from, to netip.Addr, ident uint16, message []byte) {
	target, err := e.settings.Load().target(netip.AddrPortFrom(to, 0), &e.host)
	if err != nil {
		e.counters.add(&e.counters.forbidden)
		return
	}
	p, err := e.pingOf(pingKey{from, to, ident}, target.Addr())
	if err != nil {
		e.counters.add(&e.counters.icmp)
		return
	}
	e.counters.add(&e.counters.echo)
	_, _ = p.c.Write(message) // The system fills in number and checksum; what is lost is lost.
}

func (e *end) pingOf(key pingKey, target netip.Addr) (*ping, error) {
	e.pings.mu.Lock()
	defer e.pings.mu.Unlock()
	if p := e.pings.all[key]; p != nil {
		return p, nil
	}
	if len(e.pings.all) >= maxPings || e.pings.over {
		return nil, errors.New("too many run")
	}
	c, err := openPing(target)
	if err != nil {
		return nil, err
	}
	if !e.begin() {
		_ = c.Close()
		return nil, errStopped
	}
	p := &ping{key, c}
	e.pings.all[key] = p
	go func() {
		defer e.wg.Done()
		e.answerEchos(p)
		e.pings.mu.Lock()
		defer e.pings.mu.Unlock()
		delete(e.pings.all, key)
	}()
	return p, nil
}

func openPing(to netip.Addr) (net.Conn, error) {
	family, protocol := unix.AF_INET6, unix.IPPROTO_ICMPV6
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
	if to.Is4() {
		family, protocol, sa = unix.AF_INET, unix.IPPROTO_ICMP, &unix.SockaddrInet4{Addr: to.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, protocol)
	if err != nil {
		return nil, fmt.Errorf("open socket for echo requests: %w", err)
	}
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "ping")
	defer func() { _ = f.Close() }()
	if err := errors.Join(unix.SetNonblock(fd, true), unix.Connect(fd, sa)); err != nil {
		return nil, fmt.Errorf("open socket for echo requests: %w", err)
	}
	return net.FileConn(f)
}

// answerEchos gives the replies back until none has come for a while.
func (e *end) answerEchos(p *ping) {
	defer func() { _ = p.c.Close() }()
	b := make([]byte, maxDatagram)
	for {
		if p.c.SetReadDeadline(time.Now().Add(pingIdle)) != nil {
			return
		}
		n, err := p.c.Read(b)
		if err != nil {
			if isRefusal(err) {
				continue
			}
			return
		}
		m := b[:n]
		if p.key.to.Is4() && n > header.IPv4MinimumSize && m[0]>>4 == 4 {
			m = m[min(n, int(m[0]&15)*4):] // Some systems give the IP header along.
		}
		e.reply(p.key, m)
	}
}

// reply sends an echo reply to the one who asked.
func (e *end) reply(k pingKey, message []byte) {
	if k.to.Is4() {
		if len(message) < header.ICMPv4MinimumSize || header.ICMPv4(message).Type() != header.ICMPv4EchoReply {
			return
		}
		packet := make([]byte, header.IPv4MinimumSize+len(message))
		m := header.ICMPv4(packet[header.IPv4MinimumSize:])
		copy(m, message)
		m.SetIdent(k.ident)
		m.SetChecksum(0)
		m.SetChecksum(header.ICMPv4Checksum(m, 0))
		h := header.IPv4(packet)
		h.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(packet)), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
			SrcAddr: netstack.Address(k.to), DstAddr: netstack.Address(k.from),
		})
		h.SetChecksum(^h.CalculateChecksum())
		e.link.WriteRaw(header.IPv4ProtocolNumber, packet)
		return
	}
	if len(message) < header.ICMPv6EchoMinimumSize || header.ICMPv6(message).Type() != header.ICMPv6EchoReply {
		return
	}
	packet := make([]byte, header.IPv6MinimumSize+len(message))
	m := header.ICMPv6(packet[header.IPv6MinimumSize:])
	copy(m, message)
	m.SetIdent(k.ident)
	m.SetChecksum(0)
	m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: netstack.Address(k.to), Dst: netstack.Address(k.from)}))
	header.IPv6(packet).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(message)), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 64,
		SrcAddr: netstack.Address(k.to), DstAddr: netstack.Address(k.from),
	})
	e.link.WriteRaw(header.IPv6ProtocolNumber, packet)
}
