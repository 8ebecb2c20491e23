package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A port is stored as its listeners, publish/ID/0 and so on, and its description, publish/ID/port, which comes last and
// goes first: what has none is half made or half removed.
const (
	prefix      = "publish/"
	described   = "/port"
	maxDescribe = 64 << 10
)

func storedName(id string, i int) string { return prefix + id + "/" + strconv.Itoa(i) }

// save stores a port, which nobody serves yet.
func (p *Publisher) save(ctx context.Context, o *port) error {
	for i, l := range o.listeners {
		if err := p.saveSocket(ctx, storedName(o.ID, i), l); err != nil {
			return err
		}
	}
	b, err := json.Marshal(&o.Port)
	if err != nil {
		return err
	}
	f, err := memoryFile("port", b)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return p.cfg.Store.Put(ctx, prefix+o.ID+described, f)
}

// saveSocket stores a copy of a socket. It blocks while it is handed over: the keeper would poll it else, and wake for
// each client.
func (p *Publisher) saveSocket(ctx context.Context, name string, s socket) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = func() error {
			if err := unix.SetNonblock(int(fd), false); err != nil {
				return err
			}
			dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
			if err == nil {
				f := os.NewFile(uintptr(dup), name)
				err = errors.Join(p.cfg.Store.Put(ctx, name, f), f.Close())
			}
			return errors.Join(err, unix.SetNonblock(int(fd), true))
		}()
	})
	return errors.Join(err, serr)
}

// forget takes a port out of the store.
func (p *Publisher) forget(ctx context.Context, o *port) error {
	if err := p.cfg.Store.Drop(ctx, prefix+o.ID+described); err != nil {
		return err
	}
	for i := range o.HostIPs {
		if err := p.cfg.Store.Drop(ctx, storedName(o.ID, i)); err != nil {
			return err
		}
	}
	return nil
}

// restore takes up what is stored, and drops what is not whole.
func (p *Publisher) restore(ctx context.Context) error {
	names, err := p.storedNames(ctx)
	if err != nil {
		return err
	}
	whole := map[string]bool{}
	for _, name := range names {
		id, ok := strings.CutSuffix(strings.TrimPrefix(name, prefix), described)
		if !ok {
			continue
		}
		o, err := p.load(ctx, id)
		if err != nil {
			p.cfg.Log.Warn("a published port is lost", "port", id, "error", err)
			continue
		}
		whole[id] = true
		p.begin(o)
	}
	for _, name := range names {
		id, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "/")
		if !whole[id] {
			if err := p.cfg.Store.Drop(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Publisher) storedNames(ctx context.Context) (names []string, err error) {
	for after := prefix; ; {
		page, err := p.cfg.Store.Names(ctx, after)
		if err != nil {
			return nil, err
		}
		for _, n := range page {
			if !strings.HasPrefix(n, prefix) {
				return names, nil
			}
			names = append(names, n)
		}
		if len(page) == 0 {
			return names, nil
		}
		after = page[len(page)-1]
	}
}

func (p *Publisher) load(ctx context.Context, id string) (_ *port, err error) {
	f, err := p.cfg.Store.Get(ctx, prefix+id+described)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, maxDescribe)
	n, err := f.ReadAt(b, 0) // The offset is shared with every copy.
	if n == 0 {
		return nil, fmt.Errorf("read description: %w", err)
	}
	var d Port
	if err := json.Unmarshal(b[:n], &d); err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	if d.ID != id {
		return nil, fmt.Errorf("read description: it is that of %q", d.ID)
	}
	o := p.newPort(d)
	defer func() {
		if err != nil {
			o.close(err)
		}
	}()
	for i := range d.HostIPs {
		l, err := p.loadSocket(ctx, storedName(id, i), d.Protocol)
		if err != nil {
			return nil, err
		}
		o.listeners = append(o.listeners, l)
	}
	return o, nil
}

func (p *Publisher) loadSocket(ctx context.Context, name string, proto Protocol) (socket, error) {
	f, err := p.cfg.Store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if proto == UDP {
		c, err := net.FilePacketConn(f)
		if err != nil {
			return nil, err
		}
		if u, ok := c.(*net.UDPConn); ok {
			return u, nil
		}
		return nil, errors.Join(fmt.Errorf("%s is a %T", name, c), c.Close())
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if t, ok := l.(*net.TCPListener); ok {
		return t, nil
	}
	return nil, errors.Join(fmt.Errorf("%s is a %T", name, l), l.Close())
}
