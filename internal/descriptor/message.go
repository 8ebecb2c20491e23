package descriptor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ErrTruncated is returned for a packet that exceeds the bounds given to Receive.
var ErrTruncated = errors.New("packet is truncated")

// Send writes b, one packet, with the descriptors of files. The files stay the caller's.
func Send(c *net.UnixConn, b []byte, files ...*os.File) error {
	return withFDs(files, make([]int, 0, len(files)), func(fds []int) error {
		var oob []byte
		if len(fds) > 0 {
			oob = unix.UnixRights(fds...)
		}
		_, _, err := c.WriteMsgUnix(b, oob, nil)
		return err
	})
}

// withFDs calls f with the descriptors of files, which cannot be closed meanwhile. Unlike Fd it leaves their mode alone.
func withFDs(files []*os.File, fds []int, f func([]int) error) error {
	if len(files) == 0 {
		return f(fds)
	}
	rc, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := rc.Control(func(fd uintptr) { ferr = withFDs(files[1:], append(fds, int(fd)), f) }); err != nil {
		return err
	}
	return ferr
}

// Receive reads one packet of at most len(b) bytes with at most n descriptors. The end of the stream is io.EOF.
func Receive(c *net.UnixConn, b []byte, n int) ([]byte, []*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4*n))
	bn, on, flags, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, nil, err
	}
	files, err := parseRights(oob[:on])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = ErrTruncated
	}
	if err == nil && bn == 0 {
		err = io.EOF
	}
	if err != nil {
		Close(files)
		return nil, nil, err
	}
	return b[:bn], files, nil
}

// Close closes files that were received and are not wanted.
func Close(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func parseRights(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	cms, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	for i := range cms {
		if cms[i].Header.Level != unix.SOL_SOCKET || cms[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&cms[i])
		if err != nil {
			return files, fmt.Errorf("parse control message: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}
