package resolver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Bounds of what is asked outside; the same as dockerd's.
const (
	maxForwards  = 1024
	maxUpstreams = 3
	timeout      = 4 * time.Second
	retryAfter   = 1500 * time.Millisecond

	headerSize = 12
)

// forward asks the upstreams in turn, and returns the first useful answer as it came, or nil.
func (r *Resolver) forward(ctx context.Context, q *query) []byte {
	for _, to := range r.config.Load().upstreams {
		b, whole, err := r.ask(ctx, q, to)
		if err != nil {
			continue
		}
		if rcode := int(b[3] & 0xf); rcode == dns.RcodeServerFailure || rcode == dns.RcodeRefused {
			continue
		}
		// An answer that came whole over TCP may be too much for a client that asked over UDP. One that came over UDP is
		// what this client's own question allowed, and is passed on as it is.
		if whole && len(b) > q.limit {
			if b = shorten(b, q.limit); b == nil {
				continue
			}
		}
		return b
	}
	return nil
}

// shorten cuts an answer to a size and says so.
func shorten(b []byte, limit int) []byte {
	var m dns.Msg
	if m.Unpack(b) != nil {
		return nil
	}
	m.Truncate(limit)
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// ask asks one upstream. An answer that UDP has cut is fetched whole over TCP, if that works.
func (r *Resolver) ask(ctx context.Context, q *query, to netip.AddrPort) (b []byte, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	query := bytes.Clone(q.packet)
	_, _ = rand.Read(query[:2]) // It never fails. An ID of our own: the client's may be a constant.
	defer func() {
		if err == nil {
			copy(b[:2], q.packet[:2])
		}
	}()
	if !q.tcp {
		b, err = r.askUDP(ctx, query, to, make([]byte, max(q.limit, ednsMax)))
		if err != nil || b[2]&2 == 0 {
			return b, false, err
		}
	}
	full, err := r.askTCP(ctx, query, to)
	if err == nil {
		return full, true, nil
	}
	if b != nil {
		return b, false, nil
	}
	return nil, false, err
}

var errForeign = errors.New("the answer is to another question")

// check says whether an answer is to the query: same ID, same question.
func check(b, query []byte) error {
	end := questionEnd(query)
	if len(b) < headerSize || b[0] != query[0] || b[1] != query[1] || b[2]&0x80 == 0 {
		return errForeign
	}
	if be16(b, 4) == 0 && b[3]&0xf != 0 { // Some servers leave the question out when they refuse.
		return nil
	}
	if end < 0 || len(b) < end || be16(b, 4) != 1 || !bytes.EqualFold(b[headerSize:end], query[headerSize:end]) {
		return errForeign
	}
	return nil
}

// questionEnd returns where the only question of a message ends, or -1.
func questionEnd(b []byte) int {
	at := headerSize
	for at < len(b) && b[at] != 0 {
		if b[at]&0xc0 != 0 {
			return -1
		}
		at += 1 + int(b[at])
	}
	if at += 5; at > len(b) {
		return -1
	}
	return at
}

// askUDP reads the answer into buf.
func (r *Resolver) askUDP(ctx context.Context, query []byte, to netip.AddrPort, buf []byte) ([]byte, error) {
	c, err := r.dial(ctx, unix.SOCK_DGRAM, to)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	end, _ := ctx.Deadline()
	for {
		if _, err := c.Write(query); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		_ = c.SetReadDeadline(earlier(time.Now().Add(retryAfter), end))
		for {
			n, err := c.Read(buf)
			if err != nil {
				if isTimeout(err) && ctx.Err() == nil && time.Now().Before(end) {
					break // Once more: UDP loses.
				}
				return nil, err
			}
			if check(buf[:n], query) == nil {
				return buf[:n], nil
			}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (r *Resolver) askTCP(ctx context.Context, query []byte, to netip.AddrPort) ([]byte, error) {
	c, err := r.dial(ctx, unix.SOCK_STREAM, to)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	b, err := readTCP(c)
	if err != nil {
		return nil, err
	}
	return b, check(b, query)
}

// readTCP reads one message with its length in front.
func readTCP(c io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, be16(size[:], 0))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	return b, nil
}
