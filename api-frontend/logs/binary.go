package logs

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/arca-engine/arca/internal/guestwire"
)

// binaryCodec is the format of the driver local: length (32 bits), body, length again. The body is a flag byte, the time
// (64), the attributes with a 32-bit length where there are any, the data, and the position (3 x 64) where there is one.
// All numbers are big-endian.
type binaryCodec struct{ attrs []byte }

const (
	flagStderr = 1 << iota
	flagAttrs
	flagPos
	flagsKnown = flagStderr | flagAttrs | flagPos

	binaryFixed = 1 + 8
	binaryPos   = 24
	maxAttrs    = 1 << 20
	maxBody     = binaryFixed + 4 + maxAttrs + maxRecord + binaryPos
)

var errCorrupt = errors.New("log file is corrupt")

func (c *binaryCodec) maxEncoded() int { return maxRecord + len(c.attrs) + 64 }

func (c *binaryCodec) encode(dst []byte, s guestwire.Stream, nano int64, data []byte) []byte {
	n, flags := binaryFixed+len(data), byte(0)
	if s == guestwire.Stderr {
		flags = flagStderr
	}
	if len(c.attrs) > 0 {
		flags |= flagAttrs
		n += 4 + len(c.attrs)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(nano))
	if len(c.attrs) > 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.attrs)))
		dst = append(dst, c.attrs...)
	}
	dst = append(dst, data...)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

func (c *binaryCodec) seal(dst []byte, start int, p position) []byte {
	n := binary.BigEndian.Uint32(dst[start:]) + binaryPos
	binary.BigEndian.PutUint32(dst[start:], n)
	dst[start+4] |= flagPos
	dst = dst[:len(dst)-4]
	dst = binary.BigEndian.AppendUint64(dst, p.run)
	dst = binary.BigEndian.AppendUint64(dst, p.stdout)
	dst = binary.BigEndian.AppendUint64(dst, p.stderr)
	return binary.BigEndian.AppendUint32(dst, n)
}

// next consumes all of b, as no record, when it is corrupt: no later record can be found in it.
func (c *binaryCodec) next(b, dst []byte, r *record, _ bool) ([]byte, int, bool) {
	if len(b) < 4 {
		return dst, 0, true
	}
	n := int(binary.BigEndian.Uint32(b))
	if n < binaryFixed || n > maxBody {
		return dst, len(b), false
	}
	if len(b) < n+8 {
		return dst, 0, true
	}
	body := b[4 : 4+n]
	flags := body[0]
	if int(binary.BigEndian.Uint32(b[4+n:])) != n || flags&^flagsKnown != 0 {
		return dst, len(b), false
	}
	r.stream = guestwire.Stdout
	if flags&flagStderr != 0 {
		r.stream = guestwire.Stderr
	}
	r.nano = int64(binary.BigEndian.Uint64(body[1:]))
	r.attrs, r.hasPos = nil, false
	data := body[binaryFixed:]
	if flags&flagPos != 0 {
		if len(data) < binaryPos {
			return dst, len(b), false
		}
		p := data[len(data)-binaryPos:]
		data = data[:len(data)-binaryPos]
		r.hasPos = true
		r.pos = position{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:]), binary.BigEndian.Uint64(p[16:])}
	}
	if flags&flagAttrs != 0 {
		if len(data) < 4 || uint64(binary.BigEndian.Uint32(data)) > uint64(len(data)-4) {
			return dst, len(b), false
		}
		k := 4 + int(binary.BigEndian.Uint32(data))
		r.attrs, data = data[4:k], data[k:]
	}
	return append(dst, data...), n + 8, true
}

// tail walks the lengths from the end.
func (c *binaryCodec) tail(f readerAt, size int64, n int) (int64, int, error) {
	buf := make([]byte, min(size, 256<<10))
	low := size // where in the file buf begins.
	pos, found := size, 0
	for found < n && pos > 0 {
		if pos < 4 {
			return 0, 0, errCorrupt
		}
		if pos-4 < low {
			high := pos
			low = max(0, high-int64(len(buf)))
			if _, err := f.ReadAt(buf[:high-low], low); err != nil && !errors.Is(err, io.EOF) {
				return 0, 0, err
			}
		}
		k := int64(binary.BigEndian.Uint32(buf[pos-4-low:]))
		if k < binaryFixed || k > maxBody || k+8 > pos {
			return 0, 0, errCorrupt
		}
		pos -= k + 8
		found++
	}
	return pos, found, nil
}
