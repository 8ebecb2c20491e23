package guestwire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Stream names one output of a process, with Docker's numbers.
type Stream uint8

// The streams of an output frame. End is the last frame: the process has ended and every byte has been sent.
const (
	Stdout Stream = 1
	Stderr Stream = 2
	End    Stream = 3
)

// MaxData bounds the data of one output frame.
const MaxData = 256 << 10

// HeaderSize is the size of an output frame's header: stream, three zeroes, length of the data (32 bits),
// offset of its first byte in the stream (64), time of reading in nanoseconds since 1970 (64), all big-endian.
const HeaderSize = 24

// AckSize is the size of an acknowledgement: stream, seven zeroes, offset up to which all bytes are durable.
const AckSize = 16

// Header describes the output frame that it precedes.
type Header struct {
	Stream   Stream
	Length   int
	Offset   uint64
	UnixNano int64
}

// Put encodes h into b, which has at least HeaderSize bytes.
func (h Header) Put(b []byte) {
	_ = b[HeaderSize-1]
	b[0], b[1], b[2], b[3] = byte(h.Stream), 0, 0, 0
	binary.BigEndian.PutUint32(b[4:], uint32(h.Length))
	binary.BigEndian.PutUint64(b[8:], h.Offset)
	binary.BigEndian.PutUint64(b[16:], uint64(h.UnixNano))
}

// ParseHeader decodes and validates a header.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, io.ErrUnexpectedEOF
	}
	h := Header{
		Stream:   Stream(b[0]),
		Offset:   binary.BigEndian.Uint64(b[8:]),
		UnixNano: int64(binary.BigEndian.Uint64(b[16:])),
	}
	n := binary.BigEndian.Uint32(b[4:])
	switch {
	case h.Stream < Stdout || h.Stream > End || b[1]|b[2]|b[3] != 0:
		return Header{}, fmt.Errorf("output frame of unknown stream %d", h.Stream)
	case n > MaxData:
		return Header{}, fmt.Errorf("output frame of %d bytes: %w", n, ErrTooLarge)
	case h.Offset+uint64(n) < h.Offset:
		return Header{}, fmt.Errorf("output frame at offset %d overflows", h.Offset)
	}
	h.Length = int(n)
	return h, nil
}

// PutAck encodes the acknowledgement of all bytes of s before offset into b, which has at least AckSize bytes.
func PutAck(b []byte, s Stream, offset uint64) {
	_ = b[AckSize-1]
	clear(b[:8])
	b[0] = byte(s)
	binary.BigEndian.PutUint64(b[8:], offset)
}

// ParseAck decodes and validates an acknowledgement.
func ParseAck(b []byte) (Stream, uint64, error) {
	if len(b) < AckSize {
		return 0, 0, io.ErrUnexpectedEOF
	}
	s := Stream(b[0])
	if s != Stdout && s != Stderr {
		return 0, 0, fmt.Errorf("acknowledgement of unknown stream %d", s)
	}
	return s, binary.BigEndian.Uint64(b[8:]), nil
}
