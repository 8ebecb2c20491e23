package vsock

import "encoding/binary"

// The operations of a packet (VIRTIO 1.2, 5.10.6).
const (
	opRequest       = 1
	opResponse      = 2
	opReset         = 3
	opShutdown      = 4
	opData          = 5
	opCreditUpdate  = 6
	opCreditRequest = 7
)

// Flags of a shutdown: what its sender will not do any more.
const (
	noReceive = 1
	noSend    = 2
)

const (
	headerSize = 44
	hostCID    = 2
	typeStream = 1
)

// header begins every packet.
type header struct {
	srcCID, dstCID   uint64
	srcPort, dstPort uint32
	length           uint32
	kind, op         uint16
	flags            uint32
	window, consumed uint32 // buf_alloc and fwd_cnt.
}

func (h *header) decode(b *[headerSize]byte) {
	le := binary.LittleEndian
	h.srcCID, h.dstCID = le.Uint64(b[0:]), le.Uint64(b[8:])
	h.srcPort, h.dstPort = le.Uint32(b[16:]), le.Uint32(b[20:])
	h.length, h.kind, h.op = le.Uint32(b[24:]), le.Uint16(b[28:]), le.Uint16(b[30:])
	h.flags, h.window, h.consumed = le.Uint32(b[32:]), le.Uint32(b[36:]), le.Uint32(b[40:])
}

func (h *header) encode(b *[headerSize]byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], h.srcCID)
	le.PutUint64(b[8:], h.dstCID)
	le.PutUint32(b[16:], h.srcPort)
	le.PutUint32(b[20:], h.dstPort)
	le.PutUint32(b[24:], h.length)
	le.PutUint16(b[28:], h.kind)
	le.PutUint16(b[30:], h.op)
	le.PutUint32(b[32:], h.flags)
	le.PutUint32(b[36:], h.window)
	le.PutUint32(b[40:], h.consumed)
}

// scatter copies b into buffers and returns them without what was filled.
func scatter(buffers [][]byte, b []byte) [][]byte {
	for len(b) > 0 && len(buffers) > 0 {
		n := copy(buffers[0], b)
		b = b[n:]
		if buffers[0] = buffers[0][n:]; len(buffers[0]) == 0 {
			buffers = buffers[1:]
		}
	}
	return buffers
}

// gather fills b from buffers and returns them without what was taken, and how much that was.
func gather(b []byte, buffers [][]byte) (rest [][]byte, n int) {
	for n < len(b) && len(buffers) > 0 {
		k := copy(b[n:], buffers[0])
		n += k
		if buffers[0] = buffers[0][k:]; len(buffers[0]) == 0 {
			buffers = buffers[1:]
		}
	}
	return buffers, n
}

func total(buffers [][]byte) (n int) {
	for _, b := range buffers {
		n += len(b)
	}
	return n
}
