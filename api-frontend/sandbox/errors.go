package sandbox

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/status"
)

// ErrDead is the cause of every failure that comes from the end of a sandbox.
var ErrDead = errors.New("the sandbox has ended")

// native turns the error of a gRPC call into an error of this process, classified by errdefs, whose text is the
// sentence of the other side alone.
func native(err error) error {
	if err == nil {
		return nil
	}
	if st, ok := status.FromError(err); ok {
		cause := errgrpc.ToNative(err)
		return &callError{text: st.Message(), cause: cause}
	}
	return err
}

// Native classifies the error of a call to an agent. Its text is the agent's sentence.
func Native(err error) error { return native(err) }

type callError struct {
	text  string
	cause error
}

func (e *callError) Error() string { return e.text }
func (e *callError) Unwrap() error { return e.cause }

// unreachable says what to do when vmhelper does not answer.
func unreachable(socket string, err error) error {
	return fmt.Errorf("vmhelper does not answer at %s (%w): see `arca status`: %w", socket, err, errdefs.ErrUnavailable)
}
