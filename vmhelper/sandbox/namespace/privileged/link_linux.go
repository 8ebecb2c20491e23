package privileged

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/child"
	"github.com/arca-engine/arca/vmhelper/keeper/thread"
)

// VnetHeader is the size of the header before each frame of a link: virtio_net_hdr_v1.
const VnetHeader = 12

// makeLink makes a TAP in the network namespace of c. It persists there, so that it survives being moved into the
// namespace of a container while nobody holds its descriptor; it goes with its namespace.
func makeLink(c *child.Child, l Link) (*os.File, error) {
	var f *os.File
	err := thread.Run(func() (err error) {
		f, err = makeLinkHere(c, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make link %s: %w", l.Name, err)
	}
	return f, nil
}

func makeLinkHere(c *child.Child, l Link) (*os.File, error) {
	if err := c.EnterNetwork(); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := configureLink(fd, l); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), l.Name), nil
}

func configureLink(fd int, l Link) error {
	ifr, err := unix.NewIfreq(l.Name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("set interface: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, VnetHeader); err != nil {
		return fmt.Errorf("set header: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return fmt.Errorf("set persistence: %w", err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	if ifr, err = unix.NewIfreq(l.Name); err != nil {
		return err
	}
	ifr.SetUint32(l.MTU)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFMTU, ifr); err != nil {
		return fmt.Errorf("set MTU: %w", err)
	}
	if len(l.MAC) != 6 {
		return nil
	}
	var hw struct {
		name   [unix.IFNAMSIZ]byte
		family uint16
		data   [14]byte
		_      [8]byte // struct ifreq is 40 bytes.
	}
	copy(hw.name[:], l.Name)
	hw.family = unix.ARPHRD_ETHER
	copy(hw.data[:], l.MAC)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCSIFHWADDR, uintptr(unsafe.Pointer(&hw))); e != 0 {
		return fmt.Errorf("set address: %w", e)
	}
	return nil
}
