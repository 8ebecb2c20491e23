package descriptor

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Redeem fetches the stream that token stands for from the server at socket.
func Redeem(ctx context.Context, socket string, token []byte) (net.Conn, error) {
	f, err := RedeemFile(ctx, socket, token)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("redeem descriptor: %w", err)
	}
	return c, nil
}

// RedeemFile fetches the descriptor that token stands for from the server at socket.
func RedeemFile(ctx context.Context, socket string, token []byte) (*os.File, error) {
	if len(token) != TokenSize {
		return nil, fmt.Errorf("redeem descriptor: a token of %d bytes: %w", len(token), errdefs.ErrInvalidArgument)
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("redeem descriptor: %w", err)
	}
	defer func() { _ = nc.Close() }()
	c := nc.(*net.UnixConn)
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	f, err := redeem(c, token)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("redeem descriptor: %w", err)
	}
	return f, nil
}

func redeem(c *net.UnixConn, token []byte) (*os.File, error) {
	if _, err := c.Write(token); err != nil {
		return nil, err
	}
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, on, _, _, err := c.ReadMsgUnix(b, oob)
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.ErrUnexpectedEOF
	case b[0] != answered:
		return nil, fmt.Errorf("the token is unknown, used or expired: %w", errdefs.ErrNotFound)
	}
	cms, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil {
		return nil, err
	}
	if len(cms) != 1 {
		return nil, fmt.Errorf("the answer carries no descriptor: %w", errdefs.ErrDataLoss)
	}
	fds, err := unix.ParseUnixRights(&cms[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("the answer carries no descriptor: %w", errdefs.ErrDataLoss)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "redeemed"), nil
}
