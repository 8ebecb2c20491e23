package fabric

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// maxOutput bounds the file of the helper's output; one older file of the same size is kept beside it.
const maxOutput = 1 << 20

// output is a file that is turned over when it is full.
type output struct {
	path string
	file *os.File
	size int64
}

func (o *output) Write(b []byte) (int, error) {
	if o.file == nil {
		f, err := os.OpenFile(o.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return 0, fmt.Errorf("open the helper's log: %w", err)
		}
		o.file, o.size = f, 0
		if st, err := f.Stat(); err == nil {
			o.size = st.Size()
		}
	}
	n, err := o.file.Write(b)
	if o.size += int64(n); err == nil && o.size >= maxOutput {
		err = o.turn()
	}
	return n, err
}

func (o *output) turn() error {
	err := errors.Join(o.Close(), os.Rename(o.path, o.path+".1"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Close closes the file; the next write opens it again.
func (o *output) Close() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}

// pump writes the helper's output to its log until ctx ends or the output does.
func (h *helper) pump(ctx context.Context, box *sandbox.Box) {
	out := &output{path: h.output}
	defer func() { _ = out.Close() }() // What was written is written.
	var taken [guestwire.End]uint64
	for delay := backoffFirst; ctx.Err() == nil && box.Err() == nil; delay = min(2*delay, backoffMax) {
		err := h.pumpOnce(ctx, box, out, &taken)
		if err == nil {
			return
		}
		h.log.Debug("the helper's output broke off", "error", err)
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-box.Done():
		}
		t.Stop()
	}
}

func (h *helper) pumpOnce(ctx context.Context, box *sandbox.Box, out io.Writer, taken *[guestwire.End]uint64) error {
	conn, _, err := box.Agent().OpenStream(ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Output{
		Output: &guestv1.OutputStream{ContainerId: h.id, StdoutOffset: taken[guestwire.Stdout], StderrOffset: taken[guestwire.Stderr]},
	}})
	if err != nil {
		return sandbox.Native(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	header, ack := make([]byte, guestwire.HeaderSize), make([]byte, guestwire.AckSize)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			return err
		}
		frame, err := guestwire.ParseHeader(header)
		if err != nil {
			return err
		}
		if frame.Stream == guestwire.End {
			return nil
		}
		if _, err := io.CopyN(out, conn, int64(frame.Length)); err != nil {
			return err
		}
		taken[frame.Stream] = frame.Offset + uint64(frame.Length)
		guestwire.PutAck(ack, frame.Stream, taken[frame.Stream])
		if _, err := conn.Write(ack); err != nil {
			return err
		}
	}
}
