package logs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/arca-engine/arca/internal/guestwire"
)

// TestGoldenJSON pins the lines to Docker's encoding; the file was made with moby's jsonlog.MarshalJSONBuf, with the keys
// "raw" and "pos" added.
func TestGoldenJSON(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 800, time.UTC).UnixNano()
	var b []byte
	plain, attrs := newJSONCodec(nil), newJSONCodec([]byte(`{"env":"a","tag":"<b>"}`))
	for _, data := range []string{
		"hello\n", "", "\n", "no newline", "tab\t and \x00\x1f\x7f\r\n", `quote " backslash \` + "\n",
		"<html> & 'more'\n", "héllo ☃ \u2028\u2029 \U0001f600\n", "bad \xff\xfe utf\xc3\n", "\xe2\x82",
		"0123456789abcdef<0123456789>\n", "\\n\n", "trailing backslash \\",
	} {
		b = plain.encode(b, guestwire.Stdout, at, []byte(data))
		b = attrs.encode(b, guestwire.Stderr, at/1e9*1e9, []byte(data))
	}
	n := len(b)
	b = plain.seal(plain.encode(b, guestwire.Stdout, at, []byte("end\n")), n, position{3, 18446744073709551615, 0})
	golden(t, "lines.json", b)
	var r record
	if out, n, ok := plain.next(b[n:], nil, &r, true); string(out) != "end\n" || n == 0 || !ok || r.pos != (position{3, 18446744073709551615, 0}) {
		t.Errorf("sealed record reads as %q, %d, %v, %+v", out, n, ok, r)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs: got\n%s", path, got)
	}
}

// FuzzJSONDecode holds the fast decoder to the general one.
func FuzzJSONDecode(f *testing.F) {
	c := newJSONCodec([]byte(`{"tag":"x"}`))
	for _, s := range []string{"a\n", "", "\xff", "\"\\\n", "☃<>\n"} {
		line := c.encode(nil, guestwire.Stderr, 1e18, []byte(s))
		f.Add(line)
		f.Add(c.seal(line, 0, position{1, 2, 3}))
		f.Add(newJSONCodec(nil).encode(nil, guestwire.Stdout, 1e18+1, []byte(s)))
	}
	f.Add([]byte(`{"log":"\ud83d\ude00\u003c\/","stream":"stdout","time":"2026-02-29T00:00:00Z"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fast, slow record
		out, n := c.fast(b, nil, &fast, true)
		if n == 0 {
			_, _, _ = c.next(b, nil, &fast, false)
			return
		}
		if n > len(b) || b[n-1] != '\n' {
			t.Fatalf("consumed %d of %d", n, len(b))
		}
		want, ok := general(b[:n-1], nil, &slow)
		if !ok || !json.Valid(b[:n-1]) {
			return // only lines that somebody damaged: the fast decoder checks less.
		}
		if !bytes.Equal(out, bytes.ToValidUTF8(out, nil)) {
			return
		}
		if !bytes.Equal(out, want) || fast.stream != slow.stream || fast.nano != slow.nano || fast.hasPos != slow.hasPos || fast.pos != slow.pos {
			t.Fatalf("%s\nfast %q %+v\nslow %q %+v", b[:n], out, fast, want, slow)
		}
	})
}

// FuzzRoundTrip writes any bytes with both codecs and reads them back.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello\n"), int64(1), true)
	f.Add([]byte("\xff\x00\"\\\u2028"), int64(-1), false)
	f.Fuzz(func(t *testing.T, data []byte, nano int64, sealed bool) {
		data = data[:min(len(data), maxRecord)]
		nano &= 1<<62 - 1
		for _, c := range []codec{newJSONCodec(nil), newJSONCodec([]byte(`{"a":"b"}`)), &binaryCodec{}, &binaryCodec{attrs: []byte(`{"a":"b"}`)}} {
			b := c.encode([]byte("x"), guestwire.Stderr, nano, data)
			p := position{1, uint64(nano), 1<<64 - 1}
			if sealed {
				b = c.seal(b, 1, p)
			}
			if len(b) > c.maxEncoded() {
				t.Fatalf("%T: record of %d bytes takes %d", c, len(data), len(b))
			}
			var r record
			out, n, ok := c.next(b[1:], nil, &r, true)
			if !ok || n != len(b)-1 || !bytes.Equal(out, data) || r.stream != guestwire.Stderr || r.nano != nano || r.hasPos != sealed || sealed && r.pos != p {
				t.Fatalf("%T: %q reads as %q, %d of %d, %+v", c, data, out, n, len(b)-1, r)
			}
			for i := range b[1:] {
				if i > 64 && i < len(b)-65 {
					continue
				}
				if _, n, ok := c.next(b[1:1+i], nil, &r, true); n != 0 && ok {
					t.Fatalf("%T: %d bytes of %d are taken for a record", c, i, len(b)-1)
				}
			}
		}
	})
}

// FuzzBinaryDecode feeds garbage.
func FuzzBinaryDecode(f *testing.F) {
	c := &binaryCodec{attrs: []byte(`{"a":"b"}`)}
	b := c.encode(nil, guestwire.Stdout, 5, []byte("x\n"))
	f.Add(b)
	f.Add(c.seal(b, 0, position{1, 2, 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		out, n, _ := c.next(b, nil, &r, true)
		if n > len(b) || len(out) > len(b) {
			t.Fatalf("%d bytes consumed, %d made of %d", n, len(out), len(b))
		}
		if _, found, err := c.tail(bytes.NewReader(b), int64(len(b)), 3); err == nil && found > 3 {
			t.Fatal("tail finds too many")
		}
	})
}
