package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// answerLimit is when a client gets SERVFAIL; less than the 5 s that resolvers wait.
	answerLimit = 4500 * time.Millisecond
	// tryLimit is for one datagram; then the query is sent anew.
	tryLimit    = 1500 * time.Millisecond
	maxUnderWay = 1024
	plainUDP    = 512 // what a client without EDNS0 takes.
	defaultPort = "53"
	hostName    = "host.docker.internal."
	hostTTL     = 600
)

// settings are replaced as a whole.
type settings struct {
	upstream string // "" : there is none.
	host     netip.Addr
	clients  []netip.Prefix
}

// Forwarder forwards queries.
type Forwarder struct {
	settings atomic.Pointer[settings]
	underWay chan struct{}
	queries  atomic.Uint64
	failures atomic.Uint64
}

// NewForwarder makes a forwarder that serves nobody yet.
func NewForwarder() *Forwarder {
	f := &Forwarder{underWay: make(chan struct{}, maxUnderWay)}
	f.settings.Store(&settings{})
	return f
}

// Set says where to ask (an invalid address: nowhere), what stands for the host, and whose queries to answer.
func (f *Forwarder) Set(upstream, host netip.Addr, clients []netip.Prefix) {
	s := &settings{clients: clients, host: host}
	if upstream.IsValid() {
		s.upstream = net.JoinHostPort(upstream.String(), defaultPort)
	}
	f.settings.Store(s)
}

// Counters tells how many queries came and how many failed.
func (f *Forwarder) Counters() map[string]uint64 {
	return map[string]uint64{"dns_queries": f.queries.Load(), "dns_failures": f.failures.Load()}
}

// ServeDNS answers one query.
func (f *Forwarder) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	f.queries.Add(1)
	s := f.settings.Load()
	overTCP := w.LocalAddr().Network() == "tcp"
	answer := f.answer(s, w.RemoteAddr(), query, overTCP)
	if answer.Rcode == dns.RcodeServerFailure {
		f.failures.Add(1)
	}
	if !overTCP {
		size := plainUDP
		if o := query.IsEdns0(); o != nil {
			size = max(plainUDP, int(o.UDPSize()))
		}
		answer.Truncate(size)
	}
	_ = w.WriteMsg(answer) // A client that has left needs no answer.
}

func (f *Forwarder) answer(s *settings, client net.Addr, query *dns.Msg, overTCP bool) *dns.Msg {
	if !s.serves(client) || len(query.Question) != 1 || query.Opcode != dns.OpcodeQuery {
		return refuse(query, dns.RcodeRefused)
	}
	if strings.EqualFold(query.Question[0].Name, hostName) && s.host.IsValid() {
		return s.aboutHost(query)
	}
	select {
	case f.underWay <- struct{}{}:
		defer func() { <-f.underWay }()
	default:
		return refuse(query, dns.RcodeServerFailure)
	}
	if s.upstream == "" {
		return refuse(query, dns.RcodeServerFailure)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	answer, err := exchange(ctx, s.upstream, query, overTCP)
	if err != nil {
		return refuse(query, dns.RcodeServerFailure)
	}
	return answer
}

func (s *settings) serves(client net.Addr) bool {
	a, err := netip.ParseAddrPort(client.String())
	if err != nil {
		return false
	}
	ip := a.Addr().Unmap().WithZone("")
	for _, p := range s.clients {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// aboutHost answers for the machine's own name. Containers on user-defined networks have it from their own resolver; on
// the default network, where Docker resolves no names of containers, they ask here.
func (s *settings) aboutHost(query *dns.Msg) *dns.Msg {
	m := refuse(query, dns.RcodeSuccess)
	head := dns.RR_Header{Name: query.Question[0].Name, Rrtype: query.Question[0].Qtype, Class: dns.ClassINET, Ttl: hostTTL}
	switch qtype := query.Question[0].Qtype; {
	case qtype == dns.TypeA && s.host.Is4():
		m.Answer = []dns.RR{&dns.A{Hdr: head, A: s.host.AsSlice()}}
	case qtype == dns.TypeAAAA && s.host.Is6():
		m.Answer = []dns.RR{&dns.AAAA{Hdr: head, AAAA: s.host.AsSlice()}}
	}
	return m
}

func refuse(query *dns.Msg, code int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(query, code)
	m.RecursionAvailable = true
	if o := query.IsEdns0(); o != nil {
		m.SetEdns0(o.UDPSize(), o.Do())
	}
	return m
}

var errMismatch = errors.New("the answer is to another question")

// exchange asks by datagrams, again when one is lost, and over a connection when the answer does not fit.
func exchange(ctx context.Context, upstream string, query *dns.Msg, overTCP bool) (*dns.Msg, error) {
	question := query.Copy()
	question.Id = dns.Id()
	var err error
	for !overTCP && ctx.Err() == nil {
		var answer *dns.Msg
		if answer, err = once(ctx, "udp", upstream, question, tryLimit); err == nil {
			if !answer.Truncated {
				return given(query, answer), nil
			}
			break
		}
		if !isTimeout(err) {
			pause(ctx, tryLimit/10) // Refused at once: the other end may be starting.
		}
	}
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	answer, err := once(ctx, "tcp", upstream, question, answerLimit)
	if err != nil {
		return nil, err
	}
	return given(query, answer), nil
}

func once(ctx context.Context, network, upstream string, question *dns.Msg, limit time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := dns.Client{Net: network, UDPSize: dns.MaxMsgSize, Timeout: limit}
	answer, _, err := c.ExchangeContext(ctx, question, upstream)
	if err != nil {
		return nil, err
	}
	if len(answer.Question) != 1 || answer.Question[0].Qtype != question.Question[0].Qtype || answer.Question[0].Name != question.Question[0].Name {
		return nil, errMismatch
	}
	return answer, nil
}

// given is an upstream's answer as the client's.
func given(query, answer *dns.Msg) *dns.Msg {
	answer.Id = query.Id
	return answer
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
