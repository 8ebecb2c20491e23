package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// maxAgentMessage bounds what an agent may send in one message: a guest is hostile.
const maxAgentMessage = 16 << 20

// reconnect paces connections to processes of this machine: they are back within a tenth of a second, or for long away.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// DialFunc opens a stream to a port of one sandbox's agent.
type DialFunc func(ctx context.Context, port uint32) (net.Conn, error)

// Agent is a connection to the agent of one sandbox.
type Agent struct {
	guestv1.AgentClient
	conn *grpc.ClientConn
	dial DialFunc
}

// NewAgent prepares a connection over dial; nothing is dialled before the first call.
func NewAgent(dial DialFunc) (*Agent, error) {
	conn, err := grpc.NewClient("passthrough:///agent", append(failpoints("agent"),
		// The stream is the kernel's: a descriptor handed over by vmhelper, or vsock. Nobody else can be on it.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dial(ctx, guestwire.PortControl)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAgentMessage), grpc.MaxCallSendMsgSize(maxAgentMessage)),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithIdleTimeout(0), grpc.WithConnectParams(reconnect),
	)...)
	if err != nil {
		return nil, fmt.Errorf("prepare agent connection: %w", err)
	}
	return &Agent{AgentClient: guestv1.NewAgentClient(conn), conn: conn, dial: dial}, nil
}

// Close ends the connection.
func (a *Agent) Close() error { return a.conn.Close() }

// NewToken returns a fresh token for a raw stream.
func NewToken() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // Never fails: crypto/rand.Read ends the program instead.
	return b
}

// OpenStream dials the agent's stream port, sends req and reads the agent's answer. A refusal is a gRPC status
// error with the agent's code and sentence.
func (a *Agent) OpenStream(ctx context.Context, req *guestv1.StreamRequest) (net.Conn, *guestv1.StreamReply, error) {
	if req.Token == nil {
		req.Token = NewToken()
	}
	if err := failpoint.Hit("frontend/agent/stream"); err != nil {
		return nil, nil, err
	}
	conn, err := a.dial(ctx, guestwire.PortStream)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	var reply guestv1.StreamReply
	err = guestwire.WriteMessage(conn, req)
	if err == nil {
		err = guestwire.ReadMessage(conn, &reply)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err == nil && reply.Code != 0 {
		err = status.Error(codes.Code(reply.Code), reply.Message)
	} else if err != nil {
		err = fmt.Errorf("open stream to agent: %w", err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, &reply, nil
}
