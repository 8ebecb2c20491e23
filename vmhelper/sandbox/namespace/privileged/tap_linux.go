package privileged

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/thread"
)

// VnetHeader is the size of the header before each frame of a link: virtio_net_hdr_v1.
const VnetHeader = 12

// queueLength is how many frames wait in the kernel for the reader of a link.
const queueLength = 2000

// inNetwork calls f on a thread that has entered a network namespace, which MUST not be the host's own.
func inNetwork(enter, f func() error) error {
	return thread.Run(func() error {
		if err := enter(); err != nil {
			return err
		}
		var own, here unix.Stat_t
		if err := errors.Join(unix.Stat("/proc/self/ns/net", &own), unix.Stat("/proc/thread-self/ns/net", &here)); err != nil {
			return fmt.Errorf("look at network namespace: %w", err)
		}
		if own.Ino == here.Ino {
			return fmt.Errorf("a sandbox in the host's network has no links: %w", errdefs.ErrFailedPrecondition)
		}
		return f()
	})
}

// openTAP makes a persistent TAP in the network namespace of the calling thread, or opens the one that is there.
//
// The file is one that the runtime does not poll: the description of a TAP is shared with the worker, and each frame
// would wake this process too. The description itself does not block, as its reader wants it.
func openTAP(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err := setTAP(f, name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func setTAP(f *os.File, name string) error {
	fd := int(f.Fd())
	ifr, err := unix.NewIfreq(name)
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
	if err := setOffloads(fd); err != nil {
		return fmt.Errorf("set offloads: %w", err)
	}
	if err := setPersistence(f, true); err != nil {
		return err
	}
	return unix.SetNonblock(fd, true)
}

// setOffloads lets the sandbox leave checksums and the cutting of segments to whoever receives its frames: of UDP too
// where the kernel can (Linux 6.2).
func setOffloads(fd int) error {
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6)
	if errors.Is(err, unix.EINVAL) {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp)
	}
	return err
}

func setPersistence(f *os.File, on bool) error {
	v := 0
	if on {
		v = 1
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, v); err != nil {
		return fmt.Errorf("set persistence: %w", err)
	}
	return nil
}

// interfaceName returns the name that a TAP has now; the agent may have given it another one.
func interfaceName(f *os.File) (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNGETIFF, ifr); err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

// reopenTAP opens a TAP that persists in the network namespace of the calling thread. One that vanishes at this moment
// is not made again.
func reopenTAP(name string, address []byte) (*os.File, error) {
	f, err := openTAP(name)
	if err != nil {
		return nil, err
	}
	found, err := hardwareAddress(name)
	if err == nil && !bytes.Equal(found, address) {
		err = errors.Join(fmt.Errorf("it is another one now: %w", errdefs.ErrNotFound), setPersistence(f, false))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// configureTAP gives an interface of the calling thread's namespace its size, queue and address; without one, l
// learns the one it has.
func configureTAP(l *Link) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	for _, set := range []struct {
		what  string
		req   uint
		value uint32
	}{{"MTU", unix.SIOCSIFMTU, l.MTU}, {"length of queue", unix.SIOCSIFTXQLEN, queueLength}} {
		ifr, err := unix.NewIfreq(l.Name)
		if err != nil {
			return err
		}
		ifr.SetUint32(set.value)
		if err := unix.IoctlIfreq(s, set.req, ifr); err != nil {
			return fmt.Errorf("set %s: %w", set.what, err)
		}
	}
	if len(l.MAC) != 6 {
		l.MAC, err = hardwareAddress(l.Name)
		return err
	}
	hw := hardwareRequest{family: unix.ARPHRD_ETHER}
	copy(hw.name[:], l.Name)
	copy(hw.data[:], l.MAC)
	if err := hw.do(s, unix.SIOCSIFHWADDR); err != nil {
		return fmt.Errorf("set address: %w", err)
	}
	return nil
}

// hardwareRequest is struct ifreq with a hardware address.
type hardwareRequest struct {
	name   [unix.IFNAMSIZ]byte
	family uint16
	data   [14]byte
	_      [8]byte // struct ifreq is 40 bytes.
}

func (r *hardwareRequest) do(socket int, req uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), req, uintptr(unsafe.Pointer(r))); e != 0 {
		return e
	}
	return nil
}

func hardwareAddress(name string) ([]byte, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(s) }()
	var hw hardwareRequest
	copy(hw.name[:unix.IFNAMSIZ-1], name)
	if err := hw.do(s, unix.SIOCGIFHWADDR); err != nil {
		return nil, fmt.Errorf("get address of %s: %w", name, err)
	}
	return bytes.Clone(hw.data[:6]), nil
}

// eachInterface calls f for the ethernet interfaces of the calling thread's namespace.
func eachInterface(f func(name string, address []byte)) error {
	ifs, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range ifs {
		if len(i.HardwareAddr) == 6 && i.Flags&net.FlagLoopback == 0 {
			f(i.Name, i.HardwareAddr)
		}
	}
	return nil
}
