package relay

import (
	"encoding/binary"
	"math/bits"
)

// sum adds the big-endian 16-bit words of b to a one's complement sum that is not folded yet.
func sum(b []byte, acc uint64) uint64 {
	var carry uint64
	for len(b) >= 32 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), 0)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[24:]), carry)
		acc, carry = bits.Add64(acc, carry, 0)
		acc += carry
		b = b[32:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), 0)
		acc += carry
		b = b[8:]
	}
	var last [8]byte
	copy(last[:], b)
	acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(last[:]), 0)
	return acc + carry
}

// fold makes the 16 bits of a sum.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc>>16 + acc&0xffff)
}

// completeChecksum does what NEEDS_CSUM asks for: the field holds the sum of the pseudo header already.
func completeChecksum(h header, eth []byte) {
	at := h.checksumAt()
	c := ^fold(sum(eth[h.checksumStart():], 0))
	if c == 0 {
		c = 0xffff // In UDP zero says that there is none; elsewhere both are zero.
	}
	binary.BigEndian.PutUint16(eth[at:], c)
	h[0] &^= flagNeedsChecksum
	clear(h[6:10])
}

// pseudo is the sum of a pseudo header.
func pseudo(addresses []byte, protocol uint8, length int) uint64 {
	return sum(addresses, uint64(protocol)+uint64(length))
}
