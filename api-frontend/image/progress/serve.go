package progress

import (
	"context"
	"errors"
	"io"
)

// Serve runs work with a stream to a client. Work that fails before it said a word fails with its own error, for an
// ordinary answer; later the error is the stream's last line.
func Serve(ctx context.Context, w io.Writer, work func(context.Context, *Stream) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := New(w, cancel)
	err := work(ctx, s)
	if err != nil && s.began() {
		if errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		s.Fail(err)
		err = nil
	}
	return errors.Join(err, s.Close())
}

func (s *Stream) began() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.began
}
