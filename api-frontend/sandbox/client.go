package sandbox

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/internal/descriptor"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Client speaks to vmhelper: gRPC on one socket, descriptors on the other.
type Client struct {
	vmhelperv1.VMHelperClient
	network          vmhelperv1.NetworkClient
	conn             *grpc.ClientConn
	socket           string
	descriptorSocket string
}

// NewClient prepares a client of the vmhelper behind these two unix sockets. It reconnects by itself.
func NewClient(socket, descriptorSocket string) (*Client, error) {
	conn, err := grpc.NewClient("unix://"+socket, append(failpoints("vmhelper"),
		// The socket's directory admits vmhelper and the frontend's group alone; vmhelper checks peer credentials.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(reconnect), grpc.WithIdleTimeout(0),
	)...)
	if err != nil {
		return nil, fmt.Errorf("prepare connection to vmhelper: %w", err)
	}
	return &Client{VMHelperClient: vmhelperv1.NewVMHelperClient(conn), network: vmhelperv1.NewNetworkClient(conn), conn: conn, socket: socket, descriptorSocket: descriptorSocket}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// call runs f, once more when the connection broke under it (every call is idempotent), and classifies its error.
func (c *Client) call(ctx context.Context, f func(ctx context.Context) error) error {
	err := f(ctx)
	for try := 0; try < 20 && status.Code(err) == codes.Unavailable && ctx.Err() == nil; try++ {
		// The worker is restarted within 100 ms; wait for the connection, not for a time.
		wait, cancel := context.WithTimeout(ctx, 5*time.Second)
		c.conn.Connect()
		for s := c.conn.GetState(); s.String() != "READY"; s = c.conn.GetState() {
			if !c.conn.WaitForStateChange(wait, s) {
				cancel()
				return unreachable(c.socket, err)
			}
			c.conn.Connect()
		}
		cancel()
		err = f(ctx)
	}
	if status.Code(err) == codes.Unavailable {
		return unreachable(c.socket, err)
	}
	return native(err)
}

// Network calls vmhelper's network side, again when the connection broke under it, and classifies the error.
func (c *Client) Network(ctx context.Context, f func(ctx context.Context, n vmhelperv1.NetworkClient) error) error {
	return c.call(ctx, func(ctx context.Context) error { return f(ctx, c.network) })
}

func (c *Client) createSandbox(ctx context.Context, spec *vmhelperv1.SandboxSpec) (resp *vmhelperv1.CreateSandboxResponse, err error) {
	err = c.call(ctx, func(ctx context.Context) (err error) {
		resp, err = c.CreateSandbox(ctx, &vmhelperv1.CreateSandboxRequest{Spec: spec})
		return err
	})
	return resp, err
}

func (c *Client) stopSandbox(ctx context.Context, id, boot string, grace time.Duration) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.StopSandbox(ctx, &vmhelperv1.StopSandboxRequest{Id: id, BootId: boot, GraceMilliseconds: uint32(grace.Milliseconds())})
		return err
	})
}

// Dial opens a stream to a port of a sandbox's agent.
func (c *Client) Dial(ctx context.Context, id string, port uint32) (net.Conn, error) {
	var conn net.Conn
	err := c.call(ctx, func(ctx context.Context) error {
		resp, err := c.VMHelperClient.Dial(ctx, &vmhelperv1.DialRequest{SandboxId: id, Port: port})
		if err != nil {
			return err
		}
		conn, err = descriptor.Redeem(ctx, c.descriptorSocket, resp.Token)
		if err != nil {
			// The worker died between the two: its tokens died with it.
			return status.Error(codes.Unavailable, err.Error())
		}
		return nil
	})
	return conn, err
}

// ConnectSocket connects to a unix socket of the host with the rights of the instance's owner.
func (c *Client) ConnectSocket(ctx context.Context, path string) (net.Conn, error) {
	var conn net.Conn
	err := c.call(ctx, func(ctx context.Context) error {
		resp, err := c.VMHelperClient.ConnectSocket(ctx, &vmhelperv1.ConnectSocketRequest{HostPath: path})
		if err != nil {
			return err
		}
		conn, err = descriptor.Redeem(ctx, c.descriptorSocket, resp.Token)
		if err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		return nil
	})
	return conn, err
}

// CheckBind looks at a bind source with the rights of the instance's owner.
func (c *Client) CheckBind(ctx context.Context, path string) (kind vmhelperv1.CheckBindResponse_Kind, err error) {
	err = c.call(ctx, func(ctx context.Context) error {
		resp, err := c.VMHelperClient.CheckBind(ctx, &vmhelperv1.CheckBindRequest{HostPath: path})
		kind = resp.GetKind()
		return err
	})
	return kind, err
}

// RemoveUpper deletes the writable layer of a container.
func (c *Client) RemoveUpper(ctx context.Context, id string) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.VMHelperClient.RemoveUpper(ctx, &vmhelperv1.RemoveUpperRequest{Id: id})
		return err
	})
}

// UsageUpper measures the writable layer of a container; an absent one has no bytes.
func (c *Client) UsageUpper(ctx context.Context, id string) (n int64, err error) {
	err = c.call(ctx, func(ctx context.Context) error {
		resp, err := c.VMHelperClient.UsageUpper(ctx, &vmhelperv1.UsageUpperRequest{Id: id})
		n = int64(min(resp.GetBytes(), 1<<62))
		return err
	})
	if errdefs.IsNotFound(err) {
		return 0, nil
	}
	return n, err
}

// CreateVolume makes the store of a volume.
func (c *Client) CreateVolume(ctx context.Context, id string) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.VMHelperClient.CreateVolume(ctx, &vmhelperv1.CreateVolumeRequest{Id: id})
		return err
	})
}

// RemoveVolume deletes the store of a volume; an absent one is no error.
func (c *Client) RemoveVolume(ctx context.Context, id string) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.VMHelperClient.RemoveVolume(ctx, &vmhelperv1.RemoveVolumeRequest{Id: id})
		return err
	})
}

// UsageVolume measures a volume.
func (c *Client) UsageVolume(ctx context.Context, id string) (n int64, err error) {
	err = c.call(ctx, func(ctx context.Context) error {
		resp, err := c.VMHelperClient.UsageVolume(ctx, &vmhelperv1.UsageVolumeRequest{Id: id})
		n = int64(min(resp.GetBytes(), 1<<62))
		return err
	})
	return n, err
}

// Stores lists the uppers and volumes that vmhelper has on disk.
func (c *Client) Stores(ctx context.Context) (uppers, volumes []string, err error) {
	err = c.call(ctx, func(ctx context.Context) error {
		resp, err := c.ListStores(ctx, &vmhelperv1.ListStoresRequest{})
		uppers, volumes = resp.GetUppers(), resp.GetVolumes()
		return err
	})
	return uppers, volumes, err
}

// ReleaseDisk drops vmhelper's hold on a layer's disk before its file is deleted.
func (c *Client) ReleaseDisk(ctx context.Context, id string) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.VMHelperClient.ReleaseDisk(ctx, &vmhelperv1.ReleaseDiskRequest{Id: id})
		return err
	})
}
