package wire

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

type sample struct {
	A uint64
	B uint32
	C uint8
	D bool
	E float64
	F string
	G []byte
	H []string
}

func (m *sample) Wire(c *Codec) {
	c.Uint64(&m.A)
	c.Uint32(&m.B)
	c.Uint8(&m.C)
	c.Bool(&m.D)
	c.Float64(&m.E)
	c.String(&m.F, 8)
	c.Bytes(&m.G, 8)
	c.Strings(&m.H, 3, 4)
}

func TestRoundTrip(t *testing.T) {
	in := sample{1 << 40, 2, 3, true, 4.5, "five", []byte{0, 6}, []string{"7", "", "8888"}}
	b, err := Marshal(&in)
	if err != nil {
		t.Fatal(err)
	}
	var out sample
	if err := Unmarshal(b, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Fatal(out, err)
	}
	for n := range b {
		if err := Unmarshal(b[:n], &sample{}); !errors.Is(err, ErrMessage) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if err := Unmarshal(append(b, 0), &sample{}); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
}

func TestBoundsHoldForTheSender(t *testing.T) {
	for _, m := range []sample{{F: "123456789"}, {F: "a\x00b"}, {G: make([]byte, 9)}, {H: make([]string, 4)}, {H: []string{"12345"}}} {
		if _, err := Marshal(&m); !errors.Is(err, ErrMessage) {
			t.Errorf("%+v was encoded", m)
		}
	}
}

func TestErrorsKeepTheirClass(t *testing.T) {
	for _, class := range classes[1:] {
		p := Packet{Kind: Reply}
		p.PutError(fmt.Errorf("a sentence: %w", class))
		if err := p.Err(); !errors.Is(err, class) || !strings.HasPrefix(err.Error(), "a sentence") {
			t.Errorf("%v became %v", class, err)
		}
	}
	p := Packet{Op: 999}
	if !errors.Is(p.Err(), errdefs.ErrUnknown) || errors.Is(p.Err(), context.Canceled) {
		t.Error(p.Err())
	}
}

func FuzzUnmarshal(f *testing.F) {
	b, _ := Marshal(&sample{F: "x", H: []string{"a"}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m sample
		if Unmarshal(b, &m) != nil {
			return
		}
		again, err := Marshal(&m)
		if err != nil || string(again) != string(b) {
			t.Errorf("%x became %x: %v", b, again, err)
		}
	})
}
