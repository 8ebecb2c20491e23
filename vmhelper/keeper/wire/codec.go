package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMessage is wrapped by the errors of messages that break their bounds.
var ErrMessage = errors.New("malformed message")

// Message is a struct that lists its fields, in order, to a Codec: the one method encodes and decodes.
type Message interface{ Wire(c *Codec) }

// Codec reads or writes the fields of a message. After an error it does nothing more. Encoding never writes to the
// message: several goroutines may encode what they share.
type Codec struct {
	b      []byte
	decode bool
	err    error
}

// Marshal encodes m. A field beyond its bound is an error here too, so that no peer is sent what it would refuse.
func Marshal(m Message) ([]byte, error) {
	c := &Codec{}
	m.Wire(c)
	if c.err == nil && len(c.b) > MaxPacket-headerSize {
		c.fail("%d bytes", len(c.b))
	}
	return c.b, c.err
}

// Unmarshal decodes the whole of b into m.
func Unmarshal(b []byte, m Message) error {
	c := &Codec{b: b, decode: true}
	m.Wire(c)
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes too many", len(c.b))
	}
	return c.err
}

func (c *Codec) fail(format string, a ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrMessage, fmt.Sprintf(format, a...))
	}
}

func (c *Codec) take(n int) []byte {
	if c.err == nil && n > len(c.b) {
		c.fail("it ends early")
	}
	if c.err != nil {
		return make([]byte, 8)
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// Uint64 is a field of eight bytes.
func (c *Codec) Uint64(v *uint64) {
	if c.decode {
		*v = binary.BigEndian.Uint64(c.take(8))
	} else {
		c.b = binary.BigEndian.AppendUint64(c.b, *v)
	}
}

// Uint32 is a field of four bytes.
func (c *Codec) Uint32(v *uint32) {
	if c.decode {
		*v = binary.BigEndian.Uint32(c.take(4))
	} else {
		c.b = binary.BigEndian.AppendUint32(c.b, *v)
	}
}

// Uint8 is a field of one byte.
func (c *Codec) Uint8(v *uint8) {
	if c.decode {
		*v = c.take(1)[0]
	} else {
		c.b = append(c.b, *v)
	}
}

// Float64 is a finite number.
func (c *Codec) Float64(v *float64) {
	u := math.Float64bits(*v)
	c.Uint64(&u)
	f := math.Float64frombits(u)
	if c.decode {
		*v = f
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		c.fail("a number is not finite")
	}
}

// Bool is a byte that is 0 or 1.
func (c *Codec) Bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	if c.Uint8(&b); b > 1 {
		c.fail("a truth value of %d", b)
	}
	if c.decode {
		*v = b == 1
	}
}

// String is a string of at most most bytes without a zero byte.
func (c *Codec) String(v *string, most int) {
	b := []byte(*v)
	c.Bytes(&b, most)
	for _, x := range b {
		if x == 0 {
			c.fail("a zero byte in a string")
		}
	}
	if c.decode {
		*v = string(b)
	}
}

// Bytes is a string of at most most bytes.
func (c *Codec) Bytes(v *[]byte, most int) {
	n := uint32(len(*v))
	if c.Uint32(&n); int64(n) > int64(most) {
		c.fail("a field of %d bytes where %d are allowed", n, most)
	}
	switch {
	case c.err != nil:
	case c.decode:
		*v = append([]byte(nil), c.take(int(n))...)
	default:
		c.b = append(c.b, *v...)
	}
}

// List is a list of at most most elements, each with the fields that f lists.
func List[T any](c *Codec, v *[]T, most int, f func(*Codec, *T)) {
	n := uint32(len(*v))
	if c.Uint32(&n); int64(n) > int64(most) {
		c.fail("a list of %d where %d are allowed", n, most)
	}
	if c.decode {
		*v = nil
	}
	for i := 0; i < int(n) && c.err == nil; i++ {
		if c.decode {
			*v = append(*v, *new(T))
		}
		f(c, &(*v)[i])
	}
}

// Strings is a list of at most most strings of at most length bytes.
func (c *Codec) Strings(v *[]string, most, length int) {
	List(c, v, most, func(c *Codec, s *string) { c.String(s, length) })
}
