package bootwire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/arca-engine/arca/internal/descriptor"
)

// ErrProtocol is wrapped by the errors of packets that break the protocol.
var ErrProtocol = errors.New("boot socket protocol violation")

// packet is the encoding of a part of a request.
type packet struct {
	Seq         uint64       `json:"seq"`
	Type        Type         `json:"type"`
	Spec        *Spec        `json:"spec,omitempty"`
	Attachments []attachment `json:"attachments,omitempty"`
	More        bool         `json:"more,omitempty"`
}

type attachment struct {
	Attachment
	HasFile bool `json:"has_file,omitempty"`
}

// Conn is one end of a boot socket. Sending and receiving may go on at the same time; each is serialised by itself.
type Conn struct {
	c      *net.UnixConn
	sendMu sync.Mutex
	recvMu sync.Mutex
}

// New takes over f, one end of a SOCK_SEQPACKET pair. f is closed.
func New(f *os.File) (*Conn, error) {
	defer func() { _ = f.Close() }()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open boot socket: %w", err)
	}
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		_ = nc.Close()
		return nil, fmt.Errorf("open boot socket: %w: it is a %T", ErrProtocol, nc)
	}
	return &Conn{c: uc}, nil
}

// Close closes the socket; a pending call returns.
func (c *Conn) Close() error { return c.c.Close() }

// SetDeadline bounds pending and later calls.
func (c *Conn) SetDeadline(t time.Time) error { return c.c.SetDeadline(t) }

// Send sends a request. The files of its attachments stay the caller's.
func (c *Conn) Send(r *Request) error {
	if len(r.Attachments) > MaxAttachments {
		return fmt.Errorf("send %s: %w: %d attachments", r.Type, ErrProtocol, len(r.Attachments))
	}
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	spec, rest := r.Spec, r.Attachments
	for {
		n := min(len(rest), perPacket)
		p := packet{Seq: r.Seq, Type: r.Type, Spec: spec, More: n < len(rest)}
		var files []*os.File
		for _, a := range rest[:n] {
			if a.File != nil {
				files = append(files, a.File)
			}
			p.Attachments = append(p.Attachments, attachment{a, a.File != nil})
		}
		if err := c.write(p, files); err != nil {
			return fmt.Errorf("send %s: %w", r.Type, err)
		}
		spec, rest = nil, rest[n:]
		if len(rest) == 0 {
			return nil
		}
	}
}

func (c *Conn) write(v any, files []*os.File) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxPacket {
		return fmt.Errorf("%w: packet of %d bytes", ErrProtocol, len(b))
	}
	return descriptor.Send(c.c, b, files...)
}

// Reply sends a response.
func (c *Conn) Reply(r Response) error {
	if len(r.Error) > maxString {
		r.Error = r.Error[:maxString]
	}
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	if err := c.write(r, nil); err != nil {
		return fmt.Errorf("send boot response: %w", err)
	}
	return nil
}

// Receive waits for a whole request. The files of its attachments become the caller's. The error wraps io.EOF when
// vmhelper no longer has its end.
func (c *Conn) Receive() (*Request, error) {
	c.recvMu.Lock()
	defer c.recvMu.Unlock()
	r := &Request{}
	for first := true; ; first = false {
		more, err := c.receivePart(r, first)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("receive boot request: %w", err)
		}
		if !more {
			return r, nil
		}
	}
}

func (c *Conn) receivePart(r *Request, first bool) (bool, error) {
	b, files, err := descriptor.Receive(c.c, make([]byte, maxPacket), perPacket)
	if err != nil {
		return false, err
	}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	var p packet
	if err := json.Unmarshal(b, &p); err != nil {
		return false, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if first {
		r.Seq, r.Type, r.Spec = p.Seq, p.Type, p.Spec
	}
	if err := p.validate(r, len(files)); err != nil {
		return false, err
	}
	for _, a := range p.Attachments {
		if a.HasFile {
			a.File, files = files[0], files[1:]
		}
		r.Attachments = append(r.Attachments, a.Attachment)
	}
	return p.More, nil
}

func (p *packet) validate(r *Request, files int) error {
	switch {
	case p.Seq != r.Seq || p.Type != r.Type:
		return fmt.Errorf("%w: a part of another request", ErrProtocol)
	case p.Type != Boot && p.Type != Add && p.Type != Remove:
		return fmt.Errorf("%w: unknown type %.20q", ErrProtocol, p.Type)
	case (r.Spec != nil) != (r.Type == Boot):
		return fmt.Errorf("%w: a spec belongs to a boot alone", ErrProtocol)
	case len(r.Attachments)+len(p.Attachments) > MaxAttachments:
		return fmt.Errorf("%w: too many attachments", ErrProtocol)
	}
	for _, a := range p.Attachments {
		if len(a.ID) > maxString || len(a.Ref) > maxString {
			return fmt.Errorf("%w: a name is too long", ErrProtocol)
		}
		if a.HasFile {
			files--
		}
	}
	if files != 0 {
		return fmt.Errorf("%w: the number of descriptors is wrong", ErrProtocol)
	}
	return nil
}

// ReceiveResponse waits for a response. The error wraps io.EOF when the agent has ended.
func (c *Conn) ReceiveResponse() (Response, error) {
	c.recvMu.Lock()
	defer c.recvMu.Unlock()
	var r Response
	b, files, err := descriptor.Receive(c.c, make([]byte, MaxResponse), 4)
	descriptor.Close(files) // An agent has nothing to give.
	if err == nil {
		if err = json.Unmarshal(b, &r); err != nil {
			err = fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	if err == nil && len(r.Error) > maxString {
		err = fmt.Errorf("%w: error of %d bytes", ErrProtocol, len(r.Error))
	}
	if err != nil {
		return Response{}, fmt.Errorf("receive boot response: %w", err)
	}
	return r, nil
}
