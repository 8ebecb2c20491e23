package vhostuser

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The requests that QEMU makes of a back end.
const (
	getFeatures         = 1
	setFeatures         = 2
	setOwner            = 3
	resetOwner          = 4
	setMemTable         = 5
	setVringNum         = 8
	setVringAddr        = 9
	setVringBase        = 10
	getVringBase        = 11
	setVringKick        = 12
	setVringCall        = 13
	setVringErr         = 14
	getProtocolFeatures = 15
	setProtocolFeatures = 16
	getQueueNum         = 17
	setVringEnable      = 18
	getConfig           = 24
)

const (
	headerSize   = 12
	maxPayload   = 4096
	versionReply = 1 | 1<<2
	needReply    = 1 << 3
	noDescriptor = 1 << 8 // in the number of a ring: no descriptor comes with the message.
	maxFiles     = 8
)

// message is a request with the descriptors that came with it, which are closed by whoever handles it.
type message struct {
	request, flags uint32
	payload        []byte
	files          []*os.File
}

// u32 and u64 read a field; a short payload is refused before.
func (m *message) u32(at int) uint32 { return binary.LittleEndian.Uint32(m.payload[at:]) }
func (m *message) u64(at int) uint64 { return binary.LittleEndian.Uint64(m.payload[at:]) }

func (m *message) atLeast(n int) error {
	if len(m.payload) < n {
		return fmt.Errorf("%w: request %d has %d bytes of %d", ErrProtocol, m.request, len(m.payload), n)
	}
	return nil
}

func (m *message) close() {
	for _, f := range m.files {
		_ = f.Close()
	}
	m.files = nil
}

// file takes the only descriptor out of a message.
func (m *message) file() (*os.File, error) {
	if len(m.files) != 1 {
		return nil, fmt.Errorf("%w: request %d brings %d descriptors", ErrProtocol, m.request, len(m.files))
	}
	f := m.files[0]
	m.files = nil
	return f, nil
}

// receive reads one message. io.EOF: QEMU has gone.
func receive(c *net.UnixConn) (*message, error) {
	var head [headerSize]byte
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, flags, _, err := c.ReadMsgUnix(head[:], oob)
	m := &message{}
	if ferr := m.take(oob[:oobn]); err == nil {
		err = ferr
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = fmt.Errorf("%w: too many descriptors", ErrProtocol)
	}
	if err == nil && n < headerSize {
		_, err = io.ReadFull(c, head[n:])
	}
	if err == nil {
		m.request, m.flags = binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
		size := binary.LittleEndian.Uint32(head[8:])
		if size > maxPayload {
			err = fmt.Errorf("%w: request %d of %d bytes", ErrProtocol, m.request, size)
		} else {
			m.payload = make([]byte, size)
			_, err = io.ReadFull(c, m.payload)
		}
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *message) take(oob []byte) error {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	for i := range all {
		fds, err := unix.ParseUnixRights(&all[i])
		if err != nil {
			continue // It brings no descriptors.
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			m.files = append(m.files, os.NewFile(uintptr(fd), "vhost-user"))
		}
	}
	return nil
}

func reply(c *net.UnixConn, request uint32, payload []byte) error {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, headerSize+len(payload)), request)
	b = binary.LittleEndian.AppendUint32(b, versionReply)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	_, err := c.Write(append(b, payload...))
	return err
}

func number(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
