package resolver

import (
	"bytes"
	"strings"

	"github.com/miekg/dns"
)

const (
	ttl     = 600  // as dockerd's.
	ednsMax = 4096 // what we say that we take.
)

// query is a question that was understood.
type query struct {
	msg    dns.Msg
	packet []byte
	opt    *dns.OPT
	limit  int // of the answer's size.
	tcp    bool
}

// read reads a packet. Where it has no question to be answered, it returns the refusal that it deserves, if any.
func read(packet []byte, tcp bool) (*query, []byte) {
	var h dns.Header
	if len(packet) < headerSize {
		return nil, nil
	}
	h.Id, h.Bits = be16(packet, 0), be16(packet, 2)
	h.Qdcount, h.Ancount, h.Nscount, h.Arcount = be16(packet, 4), be16(packet, 6), be16(packet, 8), be16(packet, 10)
	switch dns.DefaultMsgAcceptFunc(h) {
	case dns.MsgIgnore:
		return nil, nil
	case dns.MsgReject:
		return nil, refusal(packet, dns.RcodeFormatError)
	case dns.MsgRejectNotImplemented:
		return nil, refusal(packet, dns.RcodeNotImplemented)
	case dns.MsgAccept:
	}
	q := &query{packet: packet, tcp: tcp, limit: dns.MinMsgSize}
	if err := q.msg.Unpack(packet); err != nil || len(q.msg.Question) != 1 {
		return nil, refusal(packet, dns.RcodeFormatError)
	}
	if q.opt = q.msg.IsEdns0(); q.opt != nil {
		q.limit = max(q.limit, int(q.opt.UDPSize()))
	}
	if tcp {
		q.limit = dns.MaxMsgSize
	}
	return q, nil
}

// serve has a packet answered, now or later, and tells whether it deserves an answer. The packet is not kept.
func (r *Resolver) serve(packet []byte, tcp bool, write func([]byte)) bool {
	q, refusal := read(packet, tcp)
	if q == nil {
		if refusal != nil {
			write(refusal)
		}
		return refusal != nil
	}
	if resp := r.answer(&q.msg); resp != nil {
		write(q.pack(resp))
		return true
	}
	if q.opt != nil && q.opt.Version() != 0 {
		write(q.pack(refuse(&q.msg, dns.RcodeBadVers)))
		return true
	}
	if r.config.Load().noForward {
		write(q.pack(refuse(&q.msg, dns.RcodeNameError)))
		return true
	}
	select {
	case r.forwards <- struct{}{}:
	default:
		write(q.pack(refuse(&q.msg, dns.RcodeRefused)))
		return true
	}
	q.packet = bytes.Clone(packet)
	r.wg.Go(func() {
		defer func() { <-r.forwards }()
		b := r.forward(r.ctx, q)
		if b == nil {
			b = q.pack(refuse(&q.msg, dns.RcodeServerFailure))
		}
		write(b)
	})
	return true
}

// pack encodes an answer so that it fits, with the client's EDNS answered. A name that was read can be written, too.
func (q *query) pack(resp *dns.Msg) []byte {
	if q.opt != nil {
		resp.SetEdns0(ednsMax, q.opt.Do())
	}
	resp.Truncate(q.limit)
	b, err := resp.Pack()
	if err != nil {
		return refusal(q.packet, dns.RcodeServerFailure)
	}
	return b
}

func refuse(q *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, rcode)
	m.RecursionAvailable = true
	return m
}

// refusal answers what could not be read: the header alone.
func refusal(packet []byte, rcode int) []byte {
	b := make([]byte, headerSize)
	copy(b, packet[:2])
	b[2] = 0x80 | packet[2]&0x79 // A response to the same opcode, with the same wish for recursion.
	b[3] = 0x80 | byte(rcode)
	return b
}

// answer answers from the table, or returns nil for what others know.
func (r *Resolver) answer(q *dns.Msg) *dns.Msg {
	question := q.Question[0]
	resp := new(dns.Msg).SetReply(q)
	resp.RecursionAvailable = true
	hdr := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: ttl}
	if question.Qtype == dns.TypePTR {
		if name, ok := r.names.pointer(question.Name); ok {
			resp.Answer = append(resp.Answer, &dns.PTR{Hdr: hdr, Ptr: name})
			return resp
		}
	}
	e, ok := r.names.lookup(question.Name)
	if !ok {
		if r.hidden(question) {
			return resp
		}
		return nil
	}
	// A name that is there has no records of other types, and nobody outside is asked for them.
	if question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY {
		for _, a := range turn(e.v4) {
			hdr.Rrtype = dns.TypeA
			resp.Answer = append(resp.Answer, &dns.A{Hdr: hdr, A: a.AsSlice()})
		}
	}
	if question.Qtype == dns.TypeAAAA || question.Qtype == dns.TypeANY {
		for _, a := range turn(e.v6) {
			hdr.Rrtype = dns.TypeAAAA
			resp.Answer = append(resp.Answer, &dns.AAAA{Hdr: hdr, AAAA: a.AsSlice()})
		}
	}
	return resp
}

// hidden tells of names without a dot that shall not leave: resolv.conf has an ndots of its own, and the client comes
// again with a search domain.
func (r *Resolver) hidden(q dns.Question) bool {
	return r.config.Load().noSingleLabels && (q.Qtype == dns.TypeA || q.Qtype == dns.TypeAAAA) && !strings.Contains(strings.TrimSuffix(q.Name, "."), ".")
}

func be16(b []byte, at int) uint16 { return uint16(b[at])<<8 | uint16(b[at+1]) }
