package relay

import (
	"bytes"
	"testing"
)

func TestUnicastGoesStraight(t *testing.T) {
	n := newNet(t)
	a, b, c := n.endpoint(host(1)), n.endpoint(host(2)), n.endpoint(host(3))
	for family := range 2 {
		want := udp(a.Endpoint, b.Endpoint, family, 1000, 2000, []byte("hello"))
		a.send(t, want)
		if got := b.next(t); !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
	}
	c.silent(t)
	counted, _ := n.Counters("e1", "e2", "absent")
	if len(counted) != 2 || counted[0].TxPackets != 2 || counted[1].RxPackets != 2 {
		t.Fatalf("counters: %+v", counted)
	}
}

func TestForwardingAllocatesNothing(t *testing.T) {
	n := newNet(t)
	a, b := n.endpoint(host(1)), n.endpoint(host(2))
	frame := udp4(a.Endpoint, b.Endpoint, 1000, 2000, make([]byte, 1400))
	buf := make([]byte, 2048)
	if got := testing.AllocsPerRun(1000, func() {
		a.send(t, frame)
		b.receive(t, buf)
	}); got != 0 {
		t.Fatalf("%v allocations per frame", got)
	}
}
