package guestwire

import (
	"bytes"
	"errors"
	"io"
	"testing"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func FuzzParseHeader(f *testing.F) {
	var b [HeaderSize]byte
	Header{Stream: Stderr, Length: MaxData, Offset: 1 << 40, UnixNano: 1}.Put(b[:])
	f.Add(b[:])
	f.Add(bytes.Repeat([]byte{0xff}, HeaderSize))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ParseHeader(in)
		if err != nil {
			return
		}
		if h.Length < 0 || h.Length > MaxData || h.Stream < Stdout || h.Stream > End || h.Offset+uint64(h.Length) < h.Offset {
			t.Fatalf("accepted %+v", h)
		}
		var out [HeaderSize]byte
		h.Put(out[:])
		if !bytes.Equal(out[:], in[:HeaderSize]) {
			t.Fatalf("%x became %x", in[:HeaderSize], out)
		}
	})
}

func FuzzParseAck(f *testing.F) {
	var b [AckSize]byte
	PutAck(b[:], Stdout, 1<<63)
	f.Add(b[:])
	f.Fuzz(func(t *testing.T, in []byte) {
		s, offset, err := ParseAck(in)
		if err != nil {
			return
		}
		var out [AckSize]byte
		PutAck(out[:], s, offset)
		if s2, o2, err := ParseAck(out[:]); err != nil || s2 != s || o2 != offset {
			t.Fatal(s2, o2, err)
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	var b bytes.Buffer
	if err := WriteMessage(&b, &guestv1.StreamReply{Code: 5, Message: "no such file", Stat: &guestv1.StatPathResponse{Name: "x", Size: 1}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 1, 0, 0, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var m guestv1.StreamReply
		err := ReadMessage(r, &m)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteMessage(&out, &m); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
	})
}

// A length alone takes no memory beyond its bound, and a message that is cut is told from one that never came.
func TestReadMessageErrors(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"nothing":   {"", io.EOF},
		"cut":       {"\x00\x00", io.ErrUnexpectedEOF},
		"no body":   {"\x00\x00\x00\x05", io.ErrUnexpectedEOF},
		"too large": {"\x00\x01\x00\x01", ErrTooLarge},
		"giant":     {"\xff\xff\xff\xff", ErrTooLarge},
	} {
		if err := ReadMessage(bytes.NewReader([]byte(c.in)), &guestv1.StreamReply{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
