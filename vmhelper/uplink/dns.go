package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/arca-engine/arca/vmhelper/netstack"
)

const (
	dnsPort    = 53
	maxQueries = 512              // under way at one time.
	queryLimit = 2 * time.Second  // of one resolver.
	answerIdle = 10 * time.Second // of a client's flow or connection.
	dnsHeader  = 12
)

// answerDatagrams answers the queries of one client.
func (e *end) answerDatagrams(f *udpFlow) {
	b := make([]byte, maxDatagram)
	pending := make(chan struct{}, 16)
	defer func() { // Those that are under way answer first.
		for range cap(pending) {
			pending <- struct{}{}
		}
	}()
	for {
		if err := f.inside.SetReadDeadline(time.Now().Add(answerIdle)); err != nil {
			return
		}
		n, err := f.inside.Read(b)
		if err != nil {
			return
		}
		f.touch()
		select {
		case e.queries <- struct{}{}:
		default:
			e.counters.add(&e.counters.full)
			continue
		}
		pending <- struct{}{}
		query := append([]byte(nil), b[:n]...)
		e.wg.Go(func() {
			defer func() { <-e.queries; <-pending }()
			if answer := e.resolve(query, false); answer != nil {
				_, _ = f.inside.Write(answer) // The client asks again when it is lost.
			}
		})
	}
}

// answerStream answers the queries of a connection, one after the other.
func (e *end) answerStream(c *netstack.Conn) {
	stop := context.AfterFunc(e.ctx, c.Abort)
	defer stop()
	idle := time.AfterFunc(answerIdle, c.Abort)
	defer idle.Stop()
	defer func() { _ = c.Close() }()
	for {
		query, err := readMessage(c)
		if err != nil {
			return
		}
		select {
		case e.queries <- struct{}{}:
		case <-e.ctx.Done():
			return
		}
		answer := e.resolve(query, true)
		<-e.queries
		if answer == nil {
			return
		}
		idle.Reset(answerIdle)
		if err := writeMessage(c, answer); err != nil {
			return
		}
	}
}

func readMessage(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeMessage(w io.Writer, b []byte) error {
	if len(b) > 65535 {
		return errors.New("a message is too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// resolve asks the resolvers, one after the other. What is no query gets no answer; without an answer it is SERVFAIL.
func (e *end) resolve(query []byte, stream bool) []byte {
	if len(query) < dnsHeader || query[2]&0x80 != 0 {
		return nil
	}
	e.counters.add(&e.counters.dns)
	for _, r := range e.resolvers.list(e.settings.Load()) {
		answer, err := e.ask(r, query, stream)
		if err == nil {
			return answer
		}
		e.log.Debug("ask resolver", "resolver", r, "error", err)
		if e.ctx.Err() != nil {
			return nil
		}
	}
	return failure(query)
}

func failure(query []byte) []byte {
	var m dns.Msg
	if m.Unpack(query) != nil || len(m.Question) == 0 {
		return nil
	}
	var r dns.Msg
	r.SetRcode(&m, dns.RcodeServerFailure)
	b, err := r.Pack()
	if err != nil {
		return nil
	}
	return b
}

// ask asks one resolver. An answer that was cut is asked for again over TCP, and is the client's if it can take it.
func (e *end) ask(resolver netip.AddrPort, query []byte, stream bool) ([]byte, error) {
	if stream {
		return e.exchange("tcp", resolver, query)
	}
	answer, err := e.exchange("udp", resolver, query)
	if err != nil || answer[2]&2 == 0 {
		return answer, err
	}
	whole, err := e.exchange("tcp", resolver, query)
	if err != nil || len(whole) > udpSize(query) {
		return answer, nil // The client knows that it was cut, and asks over TCP itself.
	}
	return whole, nil
}

// udpSize tells how long an answer the client of a query can take.
func udpSize(query []byte) int {
	var m dns.Msg
	if m.Unpack(query) == nil {
		if o := m.IsEdns0(); o != nil {
			return max(dns.MinMsgSize, int(o.UDPSize()))
		}
	}
	return dns.MinMsgSize
}

func (e *end) exchange(network string, resolver netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(e.ctx, queryLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, network, resolver.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if network == "tcp" {
		if err := writeMessage(c, query); err != nil {
			return nil, err
		}
		answer, err := readMessage(c)
		if err == nil && !answers(answer, query) {
			err = errors.New("the answer is to another query")
		}
		return answer, err
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, maxDatagram)
	for {
		n, err := c.Read(b)
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		if answers(b[:n], query) { // Else it is a forgery, or late.
			return b[:n], nil
		}
	}
}

// answers tells whether a message is the answer to a query: the same number, and the same question.
func answers(answer, query []byte) bool {
	if len(answer) < dnsHeader || answer[0] != query[0] || answer[1] != query[1] || answer[2]&0x80 == 0 {
		return false
	}
	if answer[4] == 0 && answer[5] == 0 {
		return true // Some refusals repeat no question.
	}
	end := questionEnd(query)
	if end < 0 || len(answer) < end {
		return false
	}
	for i := 4; i < end; i++ { // The counts of records that follow differ.
		if (i < 6 || i >= dnsHeader) && lower(answer[i]) != lower(query[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// questionEnd tells where the only question of a query ends; -1 when there is none.
func questionEnd(query []byte) int {
	if query[4] != 0 || query[5] != 1 {
		return -1
	}
	for i := dnsHeader; i < len(query); {
		n := int(query[i])
		switch {
		case n == 0 && i+5 <= len(query):
			return i + 5
		case n == 0 || n > 63:
			return -1
		}
		i += 1 + n
	}
	return -1
}
