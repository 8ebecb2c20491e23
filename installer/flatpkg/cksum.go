package flatpkg

import "math/bits"

// cksumTable is that of the polynomial of cksum(1).
var cksumTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04C11DB7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// cksum is the checksum of a file in a Bom: that of cksum(1), which takes the length in, lowest byte first.
func cksum(data []byte) uint32 {
	var c uint32
	for _, x := range data {
		c = c<<8 ^ cksumTable[byte(c>>24)^x]
	}
	for n, rest := len(data), bits.Len(uint(len(data))); rest > 0; n, rest = n>>8, rest-8 {
		c = c<<8 ^ cksumTable[byte(c>>24)^byte(n)]
	}
	return ^c
}
