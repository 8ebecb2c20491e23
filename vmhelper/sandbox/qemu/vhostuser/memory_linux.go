package vhostuser

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// ErrProtocol is wrapped by the errors of a peer that breaks the protocol.
var ErrProtocol = errors.New("vhost-user protocol broken")

// maxRegions is how many regions of memory a message can name.
const maxRegions = 8

// region is a part of the guest's memory.
type region struct {
	guest, user, size uint64 // addresses in the guest and in QEMU.
	bytes             []byte // of this region alone.
	mapped            []byte
}

// memory is the guest's memory.
type memory []region

// mapRegion maps a region that begins at offset of f.
func mapRegion(f *os.File, guest, user, size, offset uint64) (r region, err error) {
	if size == 0 || size > math.MaxInt64-offset || guest+size < guest || user+size < user {
		return r, fmt.Errorf("%w: a region of %d bytes at %#x and %#x, offset %d", ErrProtocol, size, guest, user, offset)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return r, err
	}
	if uint64(st.Size) < offset+size { // Else touching it would be a SIGBUS.
		return r, fmt.Errorf("%w: a region of %d bytes at offset %d of a file of %d", ErrProtocol, size, offset, st.Size)
	}
	// A file that could shrink would be a SIGBUS later. QEMU seals the memory that it makes itself.
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return r, fmt.Errorf("%w: the guest's memory is no memfd that is sealed against shrinking", ErrProtocol)
	}
	r = region{guest: guest, user: user, size: size}
	if r.mapped, err = unix.Mmap(int(f.Fd()), 0, int(offset+size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return r, fmt.Errorf("map the guest's memory: %w", err)
	}
	r.bytes = r.mapped[offset:]
	return r, nil
}

func (m memory) unmap() error {
	var errs []error
	for _, r := range m {
		errs = append(errs, unix.Munmap(r.mapped))
	}
	return errors.Join(errs...)
}

// at returns n bytes at an address of the guest, which must lie in one region.
func (m memory) at(addr, n uint64) ([]byte, error) {
	for i := range m {
		if r := &m[i]; addr >= r.guest && n <= r.size && addr-r.guest <= r.size-n {
			return r.bytes[addr-r.guest:][:n:n], nil
		}
	}
	return nil, fmt.Errorf("%w: the guest has no %d bytes at %#x", ErrProtocol, n, addr)
}

// atUser is at for an address of QEMU.
func (m memory) atUser(addr, n uint64) ([]byte, error) {
	for i := range m {
		if r := &m[i]; addr >= r.user && n <= r.size && addr-r.user <= r.size-n {
			return r.bytes[addr-r.user:][:n:n], nil
		}
	}
	return nil, fmt.Errorf("%w: QEMU has no %d bytes at %#x", ErrProtocol, n, addr)
}
