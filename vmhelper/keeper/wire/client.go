package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
)

// Client is the worker's end: calls, and events as they come.
type Client struct {
	conn  *Conn
	event func(op uint16, body []byte)
	done  chan struct{}

	mu      sync.Mutex
	seq     uint64
	pending map[uint64]chan Packet
	err     error
}

// NewClient takes over conn and begins to receive. event is called for every event, in order, from one goroutine.
func NewClient(conn *Conn, event func(op uint16, body []byte)) *Client {
	c := &Client{conn: conn, event: event, done: make(chan struct{}), pending: map[uint64]chan Packet{}}
	go c.receive()
	return c
}

// Done is closed when the keeper has gone.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the client and waits for its goroutine.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

func (c *Client) receive() {
	defer close(c.done)
	for {
		p, err := c.conn.Receive()
		if err != nil {
			c.fail(fmt.Errorf("the keeper is gone: %w", errors.Join(err, errdefs.ErrUnavailable)))
			return
		}
		if p.Kind == Event {
			closeAll(p.Files)
			c.event(p.Op, p.Body)
			continue
		}
		c.mu.Lock()
		ch := c.pending[p.Seq]
		delete(c.pending, p.Seq)
		c.mu.Unlock()
		if ch == nil {
			closeAll(p.Files) // Its caller no longer waits.
			continue
		}
		ch <- p
	}
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for seq, ch := range c.pending {
		delete(c.pending, seq)
		close(ch)
	}
}

// Call asks the keeper. Reply may be nil. The file that comes back, if any, becomes the caller's; given stays its own.
func (c *Client) Call(ctx context.Context, op uint16, req, reply Message, given ...*os.File) (*os.File, error) {
	body, err := Marshal(req)
	if err != nil {
		return nil, err
	}
	ch := make(chan Packet, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.seq++
	seq := c.seq
	c.pending[seq] = ch
	c.mu.Unlock()
	if err := c.conn.Send(Packet{Kind: Request, Op: op, Seq: seq, Body: body, Files: given}); err != nil {
		c.forget(seq, ch)
		return nil, fmt.Errorf("call the keeper: %w", errors.Join(err, errdefs.ErrUnavailable))
	}
	select {
	case p, ok := <-ch:
		if !ok {
			return nil, c.err
		}
		return p.decode(reply)
	case <-ctx.Done():
		c.forget(seq, ch)
		return nil, context.Cause(ctx)
	}
}

func (c *Client) forget(seq uint64, ch chan Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, seq)
	select {
	case p := <-ch:
		closeAll(p.Files)
	default:
	}
}

func (p Packet) decode(reply Message) (*os.File, error) {
	err := p.Err()
	if err == nil && reply != nil {
		err = Unmarshal(p.Body, reply)
	}
	if err != nil || len(p.Files) == 0 {
		closeAll(p.Files)
		return nil, err
	}
	closeAll(p.Files[1:])
	return p.Files[0], nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
