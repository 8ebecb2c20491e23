package vsock

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guest is QEMU and the driver of a machine in one: it speaks vhost-user, and its rings are in a memory of its own.
type guest struct {
	t        testing.TB
	device   *Device
	conn     *net.UnixConn
	mem      []byte
	kick     [2]*os.File
	call     [2]*os.File
	in       chan packet
	mu       sync.Mutex // of the transmit ring.
	next     [2]uint16  // of the used rings.
	buffers  int        // for packets to the guest.
	served   chan error
	stop     context.CancelCauseFunc
	received sync.WaitGroup
}

type packet struct {
	header
	data string
}

const (
	ringSize   = 16
	bufferSize = 512
	userBase   = 0x7f0000000000
	guestBase  = 0x100000
	guestCID   = 7
	memSize    = 1 << 20
)

// The parts of a ring, and its buffers, in the memory.
func descAt(ring int) int      { return ring * 0x10000 }
func availAt(ring int) int     { return ring*0x10000 + 0x2000 }
func usedAt(ring int) int      { return ring*0x10000 + 0x4000 }
func bufferAt(ring, i int) int { return ring*0x10000 + 0x6000 + i*bufferSize }

// startGuest boots a machine that has so many buffers for packets.
func startGuest(t testing.TB, buffers int) *guest {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, in: make(chan packet, 4096), buffers: buffers, served: make(chan error, 1)}
	g.conn = unixConn(t, fds[0])
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "guest")
	defer func() { _ = f.Close() }()
	if err := f.Truncate(memSize); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		t.Fatal(err)
	}
	if g.mem, err = unix.Mmap(fd, 0, memSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		t.Fatal(err)
	}
	g.device = New(unixConn(t, fds[1]), guestCID)
	ctx, cancel := context.WithCancelCause(t.Context())
	g.stop = cancel
	go func() { g.served <- g.device.Serve(ctx) }()
	g.send(5, pack(uint64(1), uint64(guestBase), uint64(memSize), uint64(userBase), uint64(0)), f) // u32 count and padding.
	for ring := range 2 {
		g.kick[ring], g.call[ring] = eventfd(t), eventfd(t)
		g.send(8, pack(uint32(ring), uint32(ringSize)))
		g.send(10, pack(uint32(ring), uint32(0)))
		g.send(9, pack(uint32(ring), uint32(0), uint64(userBase+descAt(ring)), uint64(userBase+usedAt(ring)), uint64(userBase+availAt(ring)), uint64(0)))
	}
	for i := range buffers {
		g.describe(ringReceive, i, bufferSize, 2)
		g.offer(ringReceive, uint16(i))
	}
	for ring := range 2 {
		g.send(13, pack(uint64(ring)), g.call[ring])
		g.send(12, pack(uint64(ring)), g.kick[ring])
		g.send(18, pack(uint32(ring), uint32(1)))
	}
	g.received.Go(g.receive)
	t.Cleanup(g.end)
	return g
}

func (g *guest) end() {
	g.stop(nil)
	_ = g.conn.Close()
	_ = g.call[ringReceive].Close()
	g.received.Wait()
	if err := <-g.served; err == nil {
		g.t.Error("the device ended without a reason")
	}
	_ = unix.Munmap(g.mem)
	for _, f := range []*os.File{g.kick[0], g.kick[1], g.call[1]} {
		_ = f.Close()
	}
}

func unixConn(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

func eventfd(t testing.TB) *os.File {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "event")
}

func pack(values ...any) (b []byte) {
	for _, v := range values {
		switch v := v.(type) {
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, v)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}

// send makes a request of the back end and waits for its answer.
func (g *guest) send(request uint32, payload []byte, files ...*os.File) {
	g.t.Helper()
	var fds []int
	for _, f := range files {
		fd, err := unix.FcntlInt(rawFd(f), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			g.t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		fds = append(fds, fd)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	b := append(pack(request, uint32(1|8), uint32(len(payload))), payload...)
	if _, _, err := g.conn.WriteMsgUnix(b, oob, nil); err != nil {
		g.t.Fatal(err)
	}
	var answer [20]byte
	if _, err := g.conn.Read(answer[:]); err != nil {
		g.t.Fatalf("request %d: %v", request, err)
	}
}

// rawFd keeps f in the poller, which Fd does not.
func rawFd(f *os.File) (fd uintptr) {
	c, err := f.SyscallConn()
	if err == nil {
		_ = c.Control(func(raw uintptr) { fd = raw })
	}
	return fd
}

func (g *guest) index(at int) *uint32 { return (*uint32)(unsafe.Pointer(&g.mem[at])) }

func (g *guest) describe(ring, i, size int, flags uint16) {
	d := g.mem[descAt(ring)+16*i:]
	binary.LittleEndian.PutUint64(d, uint64(guestBase+bufferAt(ring, i)))
	binary.LittleEndian.PutUint32(d[8:], uint32(size))
	binary.LittleEndian.PutUint16(d[12:], flags)
}

// offer makes a descriptor available.
func (g *guest) offer(ring int, head uint16) {
	w := g.index(availAt(ring))
	n := uint16(atomic.LoadUint32(w) >> 16)
	binary.LittleEndian.PutUint16(g.mem[availAt(ring)+4+2*int(n%ringSize):], head)
	atomic.StoreUint32(w, uint32(n+1)<<16)
}

func (g *guest) notify(ring int) { _, _ = g.kick[ring].Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// receive takes the packets to the guest until its call is closed.
func (g *guest) receive() {
	var b [8]byte
	for {
		if _, err := g.call[ringReceive].Read(b[:]); err != nil {
			close(g.in)
			return
		}
		for g.next[0] != uint16(atomic.LoadUint32(g.index(usedAt(0)))>>16) {
			e := g.mem[usedAt(0)+4+8*int(g.next[0]%ringSize):]
			head, n := binary.LittleEndian.Uint32(e), int(binary.LittleEndian.Uint32(e[4:]))
			raw := g.mem[bufferAt(0, int(head)):][:n]
			var p packet
			p.decode((*[headerSize]byte)(raw))
			p.data = string(raw[headerSize:])
			g.next[0]++
			g.in <- p
			g.offer(ringReceive, uint16(head))
			g.notify(ringReceive)
		}
	}
}

// transmit sends a packet of the guest, and waits until the device has taken it.
func (g *guest) transmit(h header, data string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var raw [headerSize]byte
	h.length = uint32(len(data))
	h.encode(&raw)
	g.raw(append(raw[:], data...))
}

func (g *guest) raw(b []byte) {
	copy(g.mem[bufferAt(1, 0):][:bufferSize], b)
	g.describe(ringTransmit, 0, len(b), 0)
	g.offer(ringTransmit, 0)
	g.notify(ringTransmit)
	g.next[1]++
	var e [8]byte
	for uint16(atomic.LoadUint32(g.index(usedAt(1)))>>16) != g.next[1] {
		if _, err := g.call[ringTransmit].Read(e[:]); err != nil {
			return
		}
	}
}

// answer is a packet of the guest to the sender of p.
func answer(p packet, op uint16, window, consumed uint32) header {
	return header{srcCID: guestCID, dstCID: hostCID, srcPort: p.dstPort, dstPort: p.srcPort, kind: typeStream, op: op, window: window, consumed: consumed}
}

// expect takes the next packet, which must be of this operation.
func (g *guest) expect(op uint16) packet {
	g.t.Helper()
	p, ok := <-g.in
	if !ok || p.op != op {
		g.t.Fatalf("the guest got operation %d, want %d (%v)", p.op, op, ok)
	}
	return p
}

// accept answers the next connection.
func (g *guest) accept(window uint32) packet {
	g.t.Helper()
	p := g.expect(opRequest)
	g.transmit(answer(p, opResponse, window, 0), "")
	return p
}
