package vhostuser

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Features that every device has (VIRTIO 1.2, 6) and that of the protocol itself.
const (
	featureVersion1 = 1 << 32
	featureProtocol = 1 << 30

	protocolReplyAck = 1 << 3
	protocolConfig   = 1 << 9
)

// Device is what a virtio device does with its rings.
type Device interface {
	Config() []byte // its configuration space.
	// Kicked is called when the guest has made buffers of a ring available, and when a ring begins to run. An error
	// ends the device.
	Kicked(ring int) error
}

// Server is the back end of one device. Its rings are there from the beginning, and stopped.
type Server struct {
	conn   *net.UnixConn
	device Device
	rings  []*Ring
	mem    memory
	failed context.CancelCauseFunc
}

// NewServer prepares the back end of a device with so many rings. Serve runs it.
func NewServer(conn *net.UnixConn, rings int) *Server {
	s := &Server{conn: conn}
	for range rings {
		s.rings = append(s.rings, &Ring{})
	}
	return s
}

// Ring is one of the device's rings.
func (s *Server) Ring(i int) *Ring { return s.rings[i] }

// Serve speaks with QEMU until it goes, ctx ends or the peer breaks the protocol. Then every ring is stopped and the
// guest's memory is unmapped. It closes the socket.
func (s *Server) Serve(ctx context.Context, d Device) error {
	s.device = d
	ctx, s.failed = context.WithCancelCause(ctx)
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	err := s.serve()
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, net.ErrClosed) {
		err = cause
	}
	stop()
	s.failed(nil)
	_ = s.conn.Close()
	for _, r := range s.rings {
		s.stop(r)
		r.mu.Lock()
		r.mem = nil
		_ = closeFile(&r.call)
		r.mu.Unlock()
	}
	return errors.Join(err, s.mem.unmap())
}

func (s *Server) serve() error {
	for {
		m, err := receive(s.conn)
		if err != nil {
			return err
		}
		answer, err := s.handle(m)
		m.close()
		if err != nil {
			return err
		}
		if answer == nil && m.flags&needReply != 0 {
			answer = number(0)
		}
		if answer == nil {
			continue
		}
		if err := reply(s.conn, m.request, answer); err != nil {
			return fmt.Errorf("answer QEMU: %w", err)
		}
	}
}

func (s *Server) handle(m *message) ([]byte, error) {
	switch m.request {
	case getFeatures:
		return number(featureVersion1 | featureProtocol), nil
	case getProtocolFeatures:
		return number(protocolReplyAck | protocolConfig), nil
	case getQueueNum:
		return number(uint64(len(s.rings))), nil
	case setFeatures, setOwner, resetOwner, setProtocolFeatures, setVringErr:
		return nil, nil
	case getConfig:
		return s.config(m)
	case setMemTable:
		return nil, s.setMemory(m)
	}
	return s.handleRing(m)
}

// config answers with a part of the configuration space: offset, size and flags, then the bytes.
func (s *Server) config(m *message) ([]byte, error) {
	if err := m.atLeast(headerSize); err != nil {
		return nil, err
	}
	offset, size := uint64(m.u32(0)), uint64(m.u32(4))
	if size > uint64(len(m.payload)-headerSize) {
		return nil, fmt.Errorf("%w: %d bytes of configuration in a message of %d", ErrProtocol, size, len(m.payload))
	}
	answer := append([]byte(nil), m.payload...)
	clear(answer[headerSize:])
	if all := s.device.Config(); offset < uint64(len(all)) {
		copy(answer[headerSize:headerSize+size], all[offset:])
	}
	return answer, nil
}

func (s *Server) setMemory(m *message) (err error) {
	const first, each = 8, 32
	if err := m.atLeast(first); err != nil {
		return err
	}
	n := int(m.u32(0))
	if n > maxRegions || n != len(m.files) {
		return fmt.Errorf("%w: %d regions and %d descriptors", ErrProtocol, n, len(m.files))
	}
	if err := m.atLeast(first + each*n); err != nil {
		return err
	}
	var mem memory
	for i, f := range m.files {
		at := first + each*i
		r, err := mapRegion(f, m.u64(at), m.u64(at+16), m.u64(at+8), m.u64(at+24))
		if err != nil {
			return errors.Join(err, mem.unmap())
		}
		mem = append(mem, r)
	}
	old := s.mem
	s.mem = mem
	for _, r := range s.rings {
		r.mu.Lock()
		r.mem = mem
		if running := r.desc != nil; running {
			err = errors.Join(err, r.resolve())
		}
		r.mu.Unlock()
	}
	return errors.Join(err, old.unmap())
}

// ring finds the ring that a message is about.
func (s *Server) ring(m *message) (*Ring, int, error) {
	if err := m.atLeast(8); err != nil {
		return nil, 0, err
	}
	i := int(m.u32(0) & 0xff)
	if i >= len(s.rings) {
		return nil, 0, fmt.Errorf("%w: there is no ring %d", ErrProtocol, i)
	}
	return s.rings[i], i, nil
}

func (s *Server) handleRing(m *message) ([]byte, error) {
	r, i, err := s.ring(m)
	if err != nil {
		return nil, err
	}
	switch m.request {
	case setVringNum, setVringBase, setVringAddr:
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.desc != nil {
			return nil, fmt.Errorf("%w: request %d for ring %d, which runs", ErrProtocol, m.request, i)
		}
		switch m.request {
		case setVringNum:
			r.size = m.u32(4)
		case setVringBase:
			r.last = uint16(m.u32(4))
		default:
			if err := m.atLeast(40); err != nil {
				return nil, err
			}
			r.descUser, r.usedUser, r.availUser = m.u64(8), m.u64(16), m.u64(24)
		}
	case setVringCall:
		return nil, s.setCall(r, m)
	case setVringKick:
		return nil, s.start(r, i, m)
	case setVringEnable:
		r.mu.Lock()
		r.enabled = m.u32(4) == 1
		r.mu.Unlock()
		return nil, s.device.Kicked(i)
	case getVringBase:
		s.stop(r)
		answer := append([]byte(nil), m.payload[:8]...)
		r.mu.Lock()
		binary.LittleEndian.PutUint32(answer[4:], uint32(r.last))
		r.mu.Unlock()
		return answer, nil
	default:
		return nil, fmt.Errorf("%w: request %d is unknown", ErrProtocol, m.request)
	}
	return nil, nil
}

func (s *Server) setCall(r *Ring, m *message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := closeFile(&r.call)
	if m.u32(0)&noDescriptor == 0 {
		if r.call, err = m.file(); err == nil {
			err = unix.SetNonblock(int(r.call.Fd()), true)
		}
	}
	return err
}

// start lets a ring run: its kick has come.
func (s *Server) start(r *Ring, i int, m *message) error {
	if m.u32(0)&noDescriptor != 0 {
		return fmt.Errorf("%w: ring %d would have to be polled", ErrProtocol, i)
	}
	f, err := m.file()
	if err != nil {
		return err
	}
	// Non-blocking and in the poller, so that closing it ends the read.
	if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
		return errors.Join(err, f.Close())
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	kick := os.NewFile(uintptr(fd), "kick")
	s.stop(r)
	r.mu.Lock()
	r.kick = kick
	err = r.resolve()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	r.kicked.Go(func() { s.follow(kick, i) })
	return s.device.Kicked(i)
}

// follow tells the device of kicks until the descriptor is closed.
func (s *Server) follow(kick *os.File, i int) {
	var b [8]byte
	for {
		if _, err := kick.Read(b[:]); err != nil {
			if !errors.Is(err, os.ErrClosed) {
				s.failed(fmt.Errorf("wait for ring %d: %w", i, err))
			}
			return
		}
		if err := s.device.Kicked(i); err != nil {
			s.failed(err)
			return
		}
	}
}

// stop stops a ring and waits until nobody uses it.
func (s *Server) stop(r *Ring) {
	r.mu.Lock()
	r.forget()
	_ = closeFile(&r.kick)
	r.mu.Unlock()
	r.kicked.Wait()
}

func closeFile(f **os.File) error {
	old := *f
	*f = nil
	if old == nil {
		return nil
	}
	return old.Close()
}
