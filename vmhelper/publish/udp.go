package publish

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/arca-engine/arca/vmhelper/netstack"
	"github.com/arca-engine/arca/vmhelper/relay"
)

const (
	udpIdle     = 90 * time.Second // as docker-proxy has it.
	maxUDPFlows = 1024             // of one socket.
	maxDatagram = 65535
)

// flowKey names a client of a socket, and the address that it spoke to.
type flowKey struct {
	client netip.AddrPort
	local  localAddress
}

// udpFlow carries the datagrams of one client.
type udpFlow struct {
	key     flowKey
	inside  *gonet.UDPConn
	network *network
	flow    relay.Flow
	active  atomic.Int64 // when something was carried, in nanoseconds since 1970.
}

// udpFlows are those of one socket.
type udpFlows struct {
	o *port
	c *net.UDPConn

	mu  sync.Mutex
	all map[flowKey]*udpFlow
}

// receive carries the datagrams that come to a socket until it is closed.
func (o *port) receive(c *net.UDPConn) {
	fs := &udpFlows{o: o, c: c, all: map[flowKey]*udpFlow{}}
	b, oob := make([]byte, maxDatagram), make([]byte, oobSize)
	for {
		n, on, _, from, err := c.ReadMsgUDPAddrPort(b, oob)
		if o.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // It tells of an earlier datagram that was not delivered.
		}
		client := unmap(from)
		if !o.allows(client.Addr()) {
			continue
		}
		key := flowKey{client, parseLocal(oob[:on])}
		if f := fs.get(key); f != nil {
			f.active.Store(time.Now().UnixNano())
			_, _ = f.inside.Write(b[:n]) // What is lost is lost, as with any datagram.
		}
	}
}

// get returns the flow of a client; nil when there is no way.
func (fs *udpFlows) get(key flowKey) *udpFlow {
	fs.mu.Lock()
	f := fs.all[key]
	fs.mu.Unlock()
	if f != nil {
		return f
	}
	f, err := fs.begin(key)
	if err != nil {
		fs.o.p.cfg.Log.Debug("begin flow", "port", fs.o.ID, "client", key.client, "error", err)
		return nil
	}
	return f
}

func (fs *udpFlows) begin(key flowKey) (*udpFlow, error) {
	o := fs.o
	live := o.connections()
	e, ok := o.p.cfg.Table.Endpoint(o.Endpoint)
	if !ok {
		return nil, errAbsent
	}
	w, err := o.find(e, key.client)
	if err != nil {
		return nil, err
	}
	flow, err := w.network.reserve(o.Protocol, w.from, w.to)
	if err != nil {
		return nil, err
	}
	from, to := netstack.Full(w.network.nic, flow.Remote), netstack.Full(w.network.nic, flow.Endpoint)
	inside, err := gonet.DialUDP(o.p.stack, &from, &to, netstack.Protocol(flow.Endpoint.Addr()))
	if err != nil {
		w.network.release(flow)
		return nil, err
	}
	f := &udpFlow{key: key, inside: inside, network: w.network, flow: flow}
	f.active.Store(time.Now().UnixNano())
	fs.mu.Lock()
	if len(fs.all) >= maxUDPFlows {
		fs.evictLocked()
	}
	fs.all[key] = f
	fs.mu.Unlock()
	o.wg.Go(func() { fs.answer(f, live.Done()) })
	return f, nil
}

// evictLocked ends the flow that was idle longest among a few.
func (fs *udpFlows) evictLocked() {
	var oldest *udpFlow
	n := 0
	for _, f := range fs.all { // In random order.
		if oldest == nil || f.active.Load() < oldest.active.Load() {
			oldest = f
		}
		if n++; n == 16 {
			break
		}
	}
	delete(fs.all, oldest.key)
	_ = oldest.inside.Close() // Its goroutine ends.
}

// answer carries what the endpoint sends, until the flow has been idle, is evicted, or done is closed.
func (fs *udpFlows) answer(f *udpFlow, done <-chan struct{}) {
	over := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-done:
			_ = f.inside.Close() // The read below ends.
		case <-over:
		}
	}()
	fs.relay(f)
	close(over)
	<-stopped
	fs.mu.Lock()
	if fs.all[f.key] == f {
		delete(fs.all, f.key)
	}
	fs.mu.Unlock()
	_ = f.inside.Close() // Closing it twice does nothing.
	f.network.release(f.flow)
}

func (fs *udpFlows) relay(f *udpFlow) {
	buf := datagrams.Get().(*[]byte)
	defer datagrams.Put(buf)
	oob := f.key.local.oob()
	for {
		idle := time.Unix(0, f.active.Load()).Add(udpIdle)
		_ = f.inside.SetReadDeadline(idle) // It never fails.
		n, err := f.inside.Read(*buf)
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() && time.Since(time.Unix(0, f.active.Load())) < udpIdle {
				continue
			}
			return
		}
		f.active.Store(time.Now().UnixNano())
		_, _, _ = fs.c.WriteMsgUDPAddrPort((*buf)[:n], oob, f.key.client) // What is lost is lost.
	}
}

var datagrams = sync.Pool{New: func() any { b := make([]byte, maxDatagram); return &b }}
