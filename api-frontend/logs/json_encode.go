package logs

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/arca-engine/arca/internal/guestwire"
)

// jsonCodec writes and reads the lines of json-file. The encoder keeps the end of a line for each stream, because
// the records of one frame share their time.
type jsonCodec struct {
	attrs  []byte // a JSON object, or nothing.
	nano   [3]int64
	suffix [3][]byte // `,"stream":"stdout","time":"..."` for nano.
}

func newJSONCodec(attrs []byte) *jsonCodec { return &jsonCodec{attrs: attrs} }

// maxEncoded is a record whose every byte is escaped, with its base64 and the position.
func (c *jsonCodec) maxEncoded() int { return maxRecord*8 + len(c.attrs) + 512 }

func (c *jsonCodec) encode(dst []byte, s guestwire.Stream, nano int64, data []byte) []byte {
	if c.suffix[s] == nil || c.nano[s] != nano {
		c.nano[s] = nano
		c.suffix[s] = c.appendSuffix(c.suffix[s][:0], s, nano)
	}
	if len(data) == 0 { // Docker omits an empty log.
		dst = append(dst, '{')
		dst = append(dst, c.suffix[s][1:]...)
		return append(dst, '}', '\n')
	}
	dst = append(dst, `{"log":"`...)
	body, newline := data, false
	if data[len(data)-1] == '\n' {
		body, newline = data[:len(data)-1], true
	}
	dst, valid := appendEscaped(dst, body)
	if newline {
		dst = append(dst, `\n"`...)
	} else {
		dst = append(dst, '"')
	}
	dst = append(dst, c.suffix[s]...)
	if !valid {
		dst = append(dst, `,"raw":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, data)
		dst = append(dst, '"')
	}
	return append(dst, '}', '\n')
}

func (c *jsonCodec) appendSuffix(dst []byte, s guestwire.Stream, nano int64) []byte {
	if s == guestwire.Stderr {
		dst = append(dst, `,"stream":"stderr"`...)
	} else {
		dst = append(dst, `,"stream":"stdout"`...)
	}
	if len(c.attrs) > 0 {
		dst = append(dst, `,"attrs":`...)
		dst = append(dst, c.attrs...)
	}
	dst = append(dst, `,"time":"`...)
	dst = time.Unix(0, nano).UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

func (c *jsonCodec) seal(dst []byte, _ int, p position) []byte {
	dst = append(dst[:len(dst)-2], `,"pos":[`...)
	dst = strconv.AppendUint(dst, p.run, 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, p.stdout, 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, p.stderr, 10)
	return append(dst, "]}\n"...)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainPrefix returns how many leading bytes of b, rounded down to words, need no escape in Docker's encoding.
func plainPrefix(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		lt := (w | 0x0202020202020202) ^ ('>' * ones)    // '<' or '>'
		quote := (w | 0x0404040404040404) ^ ('&' * ones) // '"' or '&'
		slash := w ^ ('\\' * ones)
		m := w | // not ASCII
			((w - 0x20*ones) & ^w) | // control
			((lt - ones) & ^lt) | ((quote - ones) & ^quote) | ((slash - ones) & ^slash)
		if m&highs != 0 {
			break
		}
	}
	return i
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends s as Docker's jsonlog writes a string, and tells whether s was valid UTF-8.
func appendEscaped(dst, s []byte) (_ []byte, valid bool) {
	valid = true
	start, i := 0, plainPrefix(s)
	for i < len(s) {
		b := s[i]
		if b < utf8.RuneSelf {
			if b >= 0x20 && b != '\\' && b != '"' && b != '<' && b != '>' && b != '&' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch b {
			case '\\', '"':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
			}
			i++
			start = i
			i += plainPrefix(s[i:])
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			valid = false
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + 1
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	return append(dst, s[start:]...), valid
}
