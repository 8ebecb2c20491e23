package agent

import (
	"context"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// translate is the one place where errors become gRPC statuses.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	st := status.Convert(errgrpc.ToGRPC(err))
	text := st.Message()
	if class, ok := classes[st.Code()]; ok { // The code tells the class, so the sentence need not.
		text = strings.TrimSuffix(text, ": "+class.Error())
	}
	return status.Error(st.Code(), text)
}

var classes = map[codes.Code]error{
	codes.InvalidArgument: errdefs.ErrInvalidArgument, codes.NotFound: errdefs.ErrNotFound, codes.AlreadyExists: errdefs.ErrAlreadyExists,
	codes.FailedPrecondition: errdefs.ErrFailedPrecondition, codes.Unimplemented: errdefs.ErrNotImplemented,
}

func translateUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	res, err := h(ctx, req)
	return res, translate(err)
}

func translateStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	return translate(h(srv, s))
}
