package guestwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// The ports of an agent's control channel.
const (
	PortControl = 1 // gRPC: arca.guest.v1.Agent.
	PortStream  = 2 // raw streams that begin with a StreamRequest.
)

// MaxMessage bounds a StreamRequest and a StreamReply.
const MaxMessage = 64 << 10

// ErrTooLarge is returned for a length above its bound.
var ErrTooLarge = errors.New("message exceeds its bound")

// WriteMessage writes m with a big-endian 32-bit length before it, in one Write.
func WriteMessage(w io.Writer, m proto.Message) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4, 256), m)
	if err != nil {
		return fmt.Errorf("marshal message: %w", err)
	}
	n := len(b) - 4
	if n > MaxMessage {
		return fmt.Errorf("write message of %d bytes: %w", n, ErrTooLarge)
	}
	binary.BigEndian.PutUint32(b, uint32(n))
	_, err = w.Write(b)
	return err
}

// ReadMessage reads what WriteMessage wrote, and not a byte more.
func ReadMessage(r io.Reader, m proto.Message) error {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(h[:])
	if n > MaxMessage {
		return fmt.Errorf("read message of %d bytes: %w", n, ErrTooLarge)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return proto.Unmarshal(b, m)
}
