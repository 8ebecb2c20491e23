package vsock

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/sandbox/qemu/vhostuser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects while the guest accepts.
func dial(t *testing.T, g *guest, window uint32) (*Conn, packet) {
	t.Helper()
	type result struct {
		c   *Conn
		err error
	}
	ch := make(chan result, 1)
	go func() {
		c, err := g.device.Dial(t.Context(), 1)
		ch <- result{c, err}
	}()
	p := g.accept(window)
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.c, p
}

func TestStream(t *testing.T) {
	g := startGuest(t, 8)
	c, p := dial(t, g, 1<<16)
	if p.dstPort != 1 || p.srcCID != hostCID || p.dstCID != guestCID {
		t.Errorf("request: %+v", p)
	}
	if n, err := c.Write([]byte("hello")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if d := g.expect(opData); d.data != "hello" {
		t.Errorf("%q", d.data)
	}
	g.transmit(answer(p, opData, 1<<16, 5), "world")
	b := make([]byte, 3)
	for _, want := range []string{"wor", "ld"} {
		if n, err := c.Read(b); err != nil || string(b[:n]) != want {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
	// The guest sends no more, and still gets what comes.
	g.transmit(func() header { h := answer(p, opShutdown, 1<<16, 5); h.flags = noSend; return h }(), "")
	if _, err := c.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("read after the guest's end: %v", err)
	}
	if _, err := c.Write([]byte("more")); err != nil {
		t.Errorf("write after the guest's end: %v", err)
	}
	g.expect(opData)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if s := g.expect(opShutdown); s.flags != noSend {
		t.Errorf("half-close: flags %d", s.flags)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write after CloseWrite: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if s := g.expect(opShutdown); s.flags != noSend|noReceive {
		t.Errorf("close: flags %d", s.flags)
	}
	g.transmit(answer(p, opReset, 0, 0), "")
	if _, err := c.Read(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestRefusedAndReset(t *testing.T) {
	g := startGuest(t, 8)
	failed := make(chan error, 1)
	go func() { _, err := g.device.Dial(t.Context(), 1); failed <- err }()
	g.transmit(answer(g.expect(opRequest), opReset, 0, 0), "")
	if err := <-failed; !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	c, p := dial(t, g, 1<<16)
	g.transmit(answer(p, opData, 1<<16, 0), "last words")
	g.transmit(answer(p, opReset, 0, 0), "")
	if b, err := io.ReadAll(c); string(b) != "last words" || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("write: %v", err)
	}
	_ = c.Close()
}

// TestGuestMayNotConnect: only the host opens connections, and each stray packet is answered by a reset.
func TestGuestMayNotConnect(t *testing.T) {
	g := startGuest(t, 8)
	for _, op := range []uint16{opRequest, opData, opShutdown, opCreditRequest, 99} {
		g.transmit(header{srcCID: guestCID, dstCID: hostCID, srcPort: 5, dstPort: 2375, kind: typeStream, op: op}, "")
		if p := g.expect(opReset); p.dstPort != 5 || p.srcPort != 2375 {
			t.Errorf("operation %d: %+v", op, p)
		}
	}
}

func TestCredit(t *testing.T) {
	g := startGuest(t, 8)
	c, p := dial(t, g, 10)
	done := make(chan error, 1)
	go func() { _, err := c.Write(bytes.Repeat([]byte("x"), 25)); done <- err }()
	got, consumed := "", uint32(0)
	for len(got) < 25 {
		switch in := <-g.in; in.op {
		case opData:
			if len(in.data) > 10 {
				t.Fatalf("%d bytes with a credit of 10", len(in.data))
			}
			got += in.data
			consumed += uint32(len(in.data))
		case opCreditRequest:
			g.transmit(answer(p, opCreditUpdate, 10, consumed), "")
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// The guest may send a window, and no byte more.
	part := strings.Repeat("y", bufferSize-headerSize)
	sent := 0
	for sent+len(part) <= window {
		g.transmit(answer(p, opData, 10, consumed), part)
		sent += len(part)
	}
	g.transmit(answer(p, opData, 10, consumed), strings.Repeat("y", window-sent+1))
	g.expect(opReset)
	if b, err := io.ReadAll(c); len(b) != sent || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%d bytes of %d, %v", len(b), sent, err)
	}
	_ = c.Close()
}

// TestReaderGivesCredit: what was read is told before the guest's window is used up.
func TestReaderGivesCredit(t *testing.T) {
	g := startGuest(t, 8)
	c, p := dial(t, g, 1<<20)
	part := strings.Repeat("z", bufferSize-headerSize)
	var sender sync.WaitGroup
	sender.Go(func() {
		for range 3 * window / len(part) {
			g.transmit(answer(p, opData, 1<<20, 0), part)
		}
	})
	defer sender.Wait()
	buf := make([]byte, 8<<10)
	read := 0
	for read < 3*window/len(part)*len(part) {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
		read += n
	}
	_ = c.Close()
	updates := 0
	for in := range g.in {
		if in.op == opCreditUpdate {
			updates++
		}
		if in.op == opShutdown {
			break
		}
	}
	if updates < 3 || updates > 3*8 {
		t.Errorf("%d updates of credit for three windows", updates)
	}
}

func TestDeadlines(t *testing.T) {
	g := startGuest(t, 8)
	c, _ := dial(t, g, 0) // It never lets us write.
	for name, op := range map[string]func() error{
		"read":  func() error { _, err := c.Read(make([]byte, 1)); return err },
		"write": func() error { _, err := c.Write([]byte("x")); return err },
	} {
		if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var ne net.Error
		if err := op(); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A close wakes who waits, and a deadline may be taken back.
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 2)
	go func() { _, err := c.Read(make([]byte, 1)); waited <- err }()
	go func() { _, err := c.Write([]byte("x")); waited <- err }()
	_ = c.Close()
	for range 2 {
		if err := <-waited; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := g.device.Dial(ctx, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a guest that does not answer: %v", err)
	}
}

// TestFewBuffers: many writers share one buffer of the guest, and nobody starves.
func TestFewBuffers(t *testing.T) {
	g := startGuest(t, 1)
	const writers, size = 4, 10_000
	errs := make(chan error, writers)
	left := map[uint32]int{}
	var conns []*Conn
	for range writers {
		c, p := dial(t, g, 1<<20)
		left[p.srcPort] = size
		conns = append(conns, c)
	}
	for _, c := range conns {
		go func() {
			_, err := c.Write(make([]byte, size))
			errs <- errors.Join(err, c.Close())
		}()
	}
	closed := 0
	for closed < writers {
		switch in := <-g.in; in.op {
		case opData:
			left[in.srcPort] -= len(in.data)
		case opShutdown:
			closed++
			if left[in.srcPort] != 0 {
				t.Errorf("%d bytes were missing at the end", left[in.srcPort])
			}
			g.transmit(answer(in, opReset, 0, 0), "")
		}
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestEndOfTheMachine: every connection breaks, and so does the next dial.
func TestEndOfTheMachine(t *testing.T) {
	g := startGuest(t, 8)
	c, _ := dial(t, g, 0)
	waited := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1)); waited <- err }()
	_ = g.conn.Close()
	if err := <-waited; !errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
	if _, err := g.device.Dial(t.Context(), 1); !errors.Is(err, ErrGone) {
		t.Errorf("dial: %v", err)
	}
	_ = c.Close()
}

// FuzzGuest sends the device whatever a guest may write into its rings.
func FuzzGuest(f *testing.F) {
	var raw [headerSize]byte
	h := header{srcCID: guestCID, dstCID: hostCID, srcPort: 1, dstPort: 1<<20 + 1, kind: typeStream, op: opResponse, window: 1 << 16}
	h.encode(&raw)
	f.Add(raw[:], uint32(0), uint16(0), uint16(0))
	h.op, h.length = opData, 4
	h.encode(&raw)
	f.Add(append(raw[:], "data"...), uint32(4), uint16(1), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, size uint32, flags, next uint16) {
		g := startGuest(t, 4)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		dialled := make(chan struct{})
		go func() {
			defer close(dialled)
			if c, err := g.device.Dial(ctx, 1); err == nil {
				_ = c.SetDeadline(time.Now().Add(time.Millisecond))
				_, _ = c.Write([]byte("x"))
				_, _ = io.ReadAll(c)
				_ = c.Close()
			}
		}()
		copy(g.mem[bufferAt(1, 0):][:bufferSize], b)
		g.describe(ringTransmit, 0, int(size%(2*memSize)), flags)
		g.mem[descAt(1)+14], g.mem[descAt(1)+15] = byte(next), byte(next>>8)
		g.describe(ringTransmit, 1, len(b)%bufferSize, 0)
		g.offer(ringTransmit, next)
		g.offer(ringTransmit, 0)
		g.notify(ringTransmit)
		<-dialled
	})
}

// TestHostileRings: what no driver would do ends the device with a sentence.
func TestHostileRings(t *testing.T) {
	for name, do := range map[string]func(g *guest){
		"a descriptor beyond the ring":  func(g *guest) { g.offer(ringTransmit, ringSize) },
		"memory that the guest has not": func(g *guest) { g.describe(ringTransmit, 0, 2*memSize, 0); g.offer(ringTransmit, 0) },
		"an indirect descriptor":        func(g *guest) { g.describe(ringTransmit, 0, 64, 4); g.offer(ringTransmit, 0) },
		"a chain without an end":        func(g *guest) { g.describe(ringTransmit, 0, 64, 1); g.offer(ringTransmit, 0) },
		"a short packet":                func(g *guest) { g.describe(ringTransmit, 0, headerSize-1, 0); g.offer(ringTransmit, 0) },
		"too many buffers":              func(g *guest) { *g.index(availAt(1)) = 1000 << 16 },
	} {
		t.Run(name, func(t *testing.T) {
			g := startGuest(t, 4)
			do(g)
			g.notify(ringTransmit)
			err := <-g.served
			g.served <- err
			if !errors.Is(err, vhostuser.ErrProtocol) {
				t.Errorf("%v", err)
			}
		})
	}
}
