package testagent

import (
	"context"
	"io/fs"
	"os"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Server answers as an agent does.
type Server struct {
	guestv1.UnimplementedAgentServer
	BootID string
	// Stat looks at a path of the sandbox.
	Stat func(path string) (fs.FileInfo, error)
	// End ends the sandbox.
	End func()
}

// New returns a gRPC server with s on it.
func (s *Server) New() *grpc.Server {
	srv := grpc.NewServer()
	guestv1.RegisterAgentServer(srv, s)
	return srv
}

// Hello identifies the agent.
func (s *Server) Hello(context.Context, *guestv1.HelloRequest) (*guestv1.HelloResponse, error) {
	return &guestv1.HelloResponse{Version: "test", BootId: s.BootID}, nil
}

// StatPath looks at a path of the sandbox.
func (s *Server) StatPath(_ context.Context, req *guestv1.StatPathRequest) (*guestv1.StatPathResponse, error) {
	st, err := s.Stat(path.Clean("/" + req.Path))
	if err != nil {
		if os.IsNotExist(err) {
			return nil, status.Error(codes.NotFound, err.Error())
		}
		return nil, err
	}
	return &guestv1.StatPathResponse{Name: st.Name(), Size: st.Size(), Mode: uint32(st.Mode())}, nil
}

// Shutdown ends the sandbox.
func (s *Server) Shutdown(context.Context, *guestv1.ShutdownRequest) (*guestv1.ShutdownResponse, error) {
	go s.End()
	return &guestv1.ShutdownResponse{}, nil
}
