package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/arca-engine/arca/internal/guestwire"
)

var (
	keyLog    = []byte(`{"log":"`)
	keyStdout = []byte(`,"stream":"stdout",`)
	keyStderr = []byte(`,"stream":"stderr",`)
	keyAttrs  = []byte(`"attrs":`)
	keyTime   = []byte(`"time":"`)
	keyPos    = []byte(`,"pos":[`)
)

func (c *jsonCodec) next(b, dst []byte, r *record, needTime bool) ([]byte, int, bool) {
	if out, n := c.fast(b, dst, r, needTime); n > 0 {
		return out, n, true
	}
	n := bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		return dst, 0, true
	}
	out, ok := general(b[:n-1], dst, r)
	return out, n, ok
}

// fast decodes a line that this package or Docker wrote: keys in their order, attributes of this container alone. It
// consumes nothing when it meets anything else.
func (c *jsonCodec) fast(b, dst []byte, r *record, needTime bool) ([]byte, int) {
	if !bytes.HasPrefix(b, keyLog) {
		return dst, 0
	}
	log := b[len(keyLog):]
	q := bytes.IndexByte(log, '"')
	for q > 0 && escapedAt(log, q) {
		k := bytes.IndexByte(log[q+1:], '"')
		if k < 0 {
			return dst, 0
		}
		q += 1 + k
	}
	if q < 0 {
		return dst, 0
	}
	rest := log[q+1:]
	if len(rest) < len(keyStdout)+len(keyTime) {
		return dst, 0
	}
	switch string(rest[:len(keyStdout)]) {
	case string(keyStdout):
		r.stream = guestwire.Stdout
	case string(keyStderr):
		r.stream = guestwire.Stderr
	default:
		return dst, 0
	}
	rest = rest[len(keyStdout):]
	r.attrs, r.hasPos = nil, false
	if len(c.attrs) > 0 && bytes.HasPrefix(rest, keyAttrs) && bytes.HasPrefix(rest[len(keyAttrs):], c.attrs) {
		r.attrs = c.attrs
		if rest = rest[len(keyAttrs)+len(c.attrs):]; len(rest) == 0 || rest[0] != ',' {
			return dst, 0
		}
		rest = rest[1:]
	}
	if !bytes.HasPrefix(rest, keyTime) {
		return dst, 0
	}
	rest = rest[len(keyTime):]
	q2 := bytes.IndexByte(rest, '"')
	if q2 < 0 || q2+3 > len(rest) {
		return dst, 0
	}
	if needTime {
		nano, ok := parseTime(rest[:q2])
		if !ok {
			return dst, 0
		}
		r.nano = nano
	}
	rest = rest[q2+1:]
	if bytes.HasPrefix(rest, keyPos) {
		p, n := parsePos(rest[len(keyPos):])
		if n == 0 {
			return dst, 0
		}
		r.hasPos, r.pos = true, p
		rest = rest[len(keyPos)+n:]
	}
	if len(rest) < 2 || rest[0] != '}' || rest[1] != '\n' {
		return dst, 0
	}
	n := len(b) - len(rest) + 2
	body := log[:q]
	if k := len(body) - 2; k >= 0 && bytes.IndexByte(body, '\\') == k && body[k+1] == 'n' {
		dst = append(dst, body[:k]...)
		return append(dst, '\n'), n
	}
	out, ok := appendUnescaped(dst, body)
	if !ok {
		return dst, 0
	}
	return out, n
}

// escapedAt tells whether an odd number of backslashes precedes b[i].
func escapedAt(b []byte, i int) bool {
	n := 0
	for n < i && b[i-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// appendUnescaped decodes the escapes that Docker writes.
func appendUnescaped(dst, s []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...), true
		}
		dst = append(dst, s[:i]...)
		if s = s[i+1:]; len(s) == 0 {
			return dst, false
		}
		switch s[0] {
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case '"', '\\', '/':
			dst = append(dst, s[0])
		case 'u':
			v, ok := hex4(s[1:])
			if !ok || v >= 0xd800 && v < 0xe000 {
				return dst, false
			}
			dst = utf8.AppendRune(dst, v)
			s = s[4:]
		default:
			return dst, false
		}
		s = s[1:]
	}
}

func hex4(b []byte) (v rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// parsePos reads "1,2,3]" and returns the bytes that it took, or 0.
func parsePos(b []byte) (p position, n int) {
	for f, v := range [3]*uint64{&p.run, &p.stdout, &p.stderr} {
		digits := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			if digits++; digits > 19 || (digits > 1 && *v == 0) {
				return p, 0
			}
			*v = *v*10 + uint64(b[n]-'0')
			n++
		}
		end := byte(',')
		if f == 2 {
			end = ']'
		}
		if digits == 0 || n == len(b) || b[n] != end {
			return p, 0
		}
		n++
	}
	return p, n
}

// parseTime reads the RFC 3339 times that end in Z.
func parseTime(b []byte) (int64, bool) {
	if len(b) < 20 || b[len(b)-1] != 'Z' || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	num := func(i, n int) int {
		v := 0
		for _, c := range b[i : i+n] {
			if c < '0' || c > '9' {
				return -1
			}
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day := num(0, 4), num(5, 2), num(8, 2)
	hour, minute, second := num(11, 2), num(14, 2), num(17, 2)
	if year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false
	}
	var frac int64
	if f := b[19 : len(b)-1]; len(f) > 0 {
		if f[0] != '.' || len(f) < 2 || len(f) > 10 {
			return 0, false
		}
		for i := 1; i < 10; i++ {
			frac *= 10
			if i < len(f) {
				if f[i] < '0' || f[i] > '9' {
					return 0, false
				}
				frac += int64(f[i] - '0')
			}
		}
	}
	return days(year, month, day)*86400e9 + (int64(hour)*3600+int64(minute)*60+int64(second))*1e9 + frac, true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// days counts from 1970-01-01 (http://howardhinnant.github.io/date_algorithms.html#days_from_civil).
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era, yoe := y/400, y%400
	doy := (153*(m-3)+2)/5 + d - 1
	return int64(era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468)
}

// jsonLine is the shape of a line for the general decoder.
type jsonLine struct {
	Log    string          `json:"log"`
	Stream string          `json:"stream"`
	Attrs  json.RawMessage `json:"attrs"`
	Time   time.Time       `json:"time"`
	Raw    []byte          `json:"raw"`
	Pos    []uint64        `json:"pos"`
}

// general decodes any line of a json-file log, whoever wrote it.
func general(line, dst []byte, r *record) ([]byte, bool) {
	var l jsonLine
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &l) != nil {
		return dst, false
	}
	switch l.Stream {
	case "stderr":
		r.stream = guestwire.Stderr
	case "stdout", "":
		r.stream = guestwire.Stdout
	default:
		return dst, false
	}
	r.nano, r.hasPos, r.attrs = l.Time.UnixNano(), false, nil
	if len(l.Attrs) > 0 && l.Attrs[0] == '{' {
		r.attrs = l.Attrs
	}
	if len(l.Pos) == 3 {
		r.hasPos, r.pos = true, position{l.Pos[0], l.Pos[1], l.Pos[2]}
	}
	if len(l.Raw) > 0 {
		return append(dst, l.Raw...), true
	}
	return append(dst, l.Log...), true
}

// tail looks for newlines from the end.
func (c *jsonCodec) tail(f readerAt, size int64, n int) (int64, int, error) {
	if n <= 0 || size == 0 {
		return size, 0, nil
	}
	buf := make([]byte, min(size, 256<<10))
	found := -1 // the newline that ends the last record begins none.
	for end := size; end > 0; {
		start := max(0, end-int64(len(buf)))
		b := buf[:end-start]
		if _, err := f.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		for i := bytes.LastIndexByte(b, '\n'); i >= 0; i = bytes.LastIndexByte(b[:i], '\n') {
			if found++; found == n {
				return start + int64(i) + 1, n, nil
			}
		}
		end = start
	}
	return 0, found + 1, nil
}
