package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/descriptor"
)

// Bounds of a packet.
const (
	MaxPacket  = 160 << 10
	MaxFiles   = 4
	maxError   = 4096
	headerSize = 12
)

// Kind says what a packet is.
type Kind uint8

// The kinds of a packet.
const (
	Request Kind = 1 // worker to keeper; Op says what is asked.
	Reply   Kind = 2 // keeper to worker, with the request's Seq; Op is an error's class, 0 for success.
	Event   Kind = 3 // keeper to worker, unasked; Op says what happened.
)

// Packet is one message with its descriptors.
type Packet struct {
	Kind  Kind
	Op    uint16
	Seq   uint64
	Body  []byte
	Files []*os.File
}

// Conn is one end of the pair. Packets may be sent from several goroutines; one receives.
type Conn struct {
	c    *net.UnixConn
	mu   sync.Mutex
	recv [MaxPacket]byte
}

// New takes over f, one end of a SOCK_SEQPACKET pair. f is closed.
func New(f *os.File) (*Conn, error) {
	defer func() { _ = f.Close() }()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open keeper socket: %w", err)
	}
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		_ = nc.Close()
		return nil, fmt.Errorf("open keeper socket: it is a %T: %w", nc, errdefs.ErrInvalidArgument)
	}
	return &Conn{c: uc}, nil
}

// Close closes this end; pending calls return.
func (c *Conn) Close() error { return c.c.Close() }

// Send sends p. Its files stay the caller's.
func (c *Conn) Send(p Packet) error {
	b := make([]byte, headerSize, headerSize+len(p.Body))
	b[0] = byte(p.Kind)
	binary.BigEndian.PutUint16(b[2:], p.Op)
	binary.BigEndian.PutUint64(b[4:], p.Seq)
	b = append(b, p.Body...)
	if len(b) > MaxPacket || len(p.Files) > MaxFiles {
		return fmt.Errorf("send packet: %w: %d bytes, %d files", ErrMessage, len(b), len(p.Files))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return descriptor.Send(c.c, b, p.Files...)
}

// Receive waits for the next packet. Its files become the caller's. The other side's end is io.EOF.
func (c *Conn) Receive() (Packet, error) {
	b, files, err := descriptor.Receive(c.c, c.recv[:], MaxFiles)
	if err != nil {
		return Packet{}, err
	}
	if len(b) < headerSize || b[1] != 0 || b[0] < byte(Request) || b[0] > byte(Event) {
		descriptor.Close(files)
		return Packet{}, fmt.Errorf("receive packet: %w", ErrMessage)
	}
	return Packet{
		Kind: Kind(b[0]), Op: binary.BigEndian.Uint16(b[2:]), Seq: binary.BigEndian.Uint64(b[4:]),
		Body: append([]byte(nil), b[headerSize:]...), Files: files,
	}, nil
}

// classes are the classes of errors that cross the socket; an index is an Op of a reply.
var classes = []error{
	1: errdefs.ErrUnknown, 2: errdefs.ErrInvalidArgument, 3: errdefs.ErrNotFound, 4: errdefs.ErrAlreadyExists,
	5: errdefs.ErrPermissionDenied, 6: errdefs.ErrResourceExhausted, 7: errdefs.ErrFailedPrecondition,
	8: errdefs.ErrUnavailable, 9: errdefs.ErrNotImplemented, 10: context.DeadlineExceeded, 11: context.Canceled, 12: errdefs.ErrInternal,
}

// PutError makes p carry err.
func (p *Packet) PutError(err error) {
	p.Op = 1
	for i := 2; i < len(classes); i++ {
		if errors.Is(err, classes[i]) {
			p.Op = uint16(i)
			break
		}
	}
	s := err.Error()
	p.Body, p.Files = []byte(s[:min(len(s), maxError)]), nil
}

// Err returns the error that a reply carries.
func (p *Packet) Err() error {
	switch {
	case p.Op == 0:
		return nil
	case int(p.Op) >= len(classes):
		return &remoteError{string(p.Body), errdefs.ErrUnknown}
	}
	return &remoteError{string(p.Body), classes[p.Op]}
}

type remoteError struct {
	text  string
	class error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.class }
