package relay

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/containers/gvisor-tap-vsock/pkg/tap"
	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"github.com/sirupsen/logrus"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// tapVsockBetween joins the namespaces by the switch of gvisor-tap-vsock, which knows neither large segments nor
// partial checksums.
func tapVsockBetween(t testing.TB, p *two, _ int) {
	logrus.SetOutput(io.Discard) // It says at its end that it ended.
	s := tap.NewSwitch(false)
	s.Connect(noGateway{})
	ctx, cancel := context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	var files []*os.File
	for _, space := range p.spaces {
		f, _ := makeTAP(t, space, false)
		files = append(files, f)
		running.Go(func() { _ = s.Accept(ctx, tapConn{f}, types.VfkitProtocol) })
	}
	t.Cleanup(func() {
		cancel(nil)
		for _, f := range files {
			_ = f.Close()
		}
		running.Wait()
	})
}

// tapConn is a TAP as the switch wants it.
type tapConn struct{ *os.File }

func (tapConn) LocalAddr() net.Addr  { return &net.UnixAddr{} }
func (tapConn) RemoteAddr() net.Addr { return &net.UnixAddr{} }

// noGateway is behind an address that nobody asks for.
type noGateway struct{}

func (noGateway) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
func (noGateway) LinkAddress() tcpip.LinkAddress                                        { return "\x02\xff\xff\xff\xff\xff" }
func (noGateway) IP() string                                                            { return "10.9.255.1" }
