package bootwire

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// read receives one packet of at most size bytes with at most n descriptors.
func (c *Conn) read(size, n int) ([]byte, []*os.File, error) {
	b, oob := make([]byte, size), make([]byte, unix.CmsgSpace(4*n))
	bn, on, flags, _, err := c.c.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, nil, err
	}
	files, err := parseRights(oob[:on])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = fmt.Errorf("%w: truncated packet", ErrProtocol)
	}
	if err == nil && bn == 0 {
		err = io.EOF
	}
	if err != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, nil, err
	}
	return b[:bn], files, nil
}

func parseRights(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	cms, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	for i := range cms {
		if cms[i].Header.Level != unix.SOL_SOCKET || cms[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&cms[i])
		if err != nil {
			return files, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "attachment"))
		}
	}
	return files, nil
}
