package sandbox

import (
	"context"
	"path"

	"google.golang.org/grpc"

	"github.com/arca-engine/arca/internal/failpoint"
)

// failpoints gives every call of a connection two points: "frontend/<peer>/<Method>" before it, and the same with
// "/answer" where the call was made and its answer gets lost.
func failpoints(peer string) []grpc.DialOption {
	name := func(method string) string { return "frontend/" + peer + "/" + path.Base(method) }
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if err := failpoint.Hit(name(method)); err != nil {
				return err
			}
			if err := invoke(ctx, method, req, reply, cc, opts...); err != nil {
				return err
			}
			return failpoint.Hit(name(method) + "/answer")
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			if err := failpoint.Hit(name(method)); err != nil {
				return nil, err
			}
			return open(ctx, desc, cc, method, opts...)
		}),
	}
}
