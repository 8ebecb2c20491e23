package routes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/server"
)

// LogSource is what the logs route needs of the container engine.
type LogSource interface {
	// OpenLog gives the log of a container and tells whether it has a terminal. A container that is being removed is
	// errdefs.ErrConflict: "can not get logs from container which is dead or marked for removal".
	OpenLog(ctx context.Context, ref string) (l *logs.Log, tty bool, err error)
}

// LogRoutes serves the logs of containers.
func LogRoutes(source LogSource) []server.Route {
	return []server.Route{{Method: http.MethodGet, Path: "/containers/{name}/logs", Handler: containerLogs(source)}}
}

func containerLogs(source LogSource) server.Handler {
	return func(ctx context.Context, r *server.Request) (server.Response, error) {
		o := logs.ReadOptions{
			Stdout: r.Bool("stdout"), Stderr: r.Bool("stderr"), Follow: r.Bool("follow"),
			Timestamps: r.Bool("timestamps"), Details: r.Bool("details"), Tail: logs.All,
		}
		if !o.Stdout && !o.Stderr {
			return server.Response{}, errdefs.ErrInvalidArgument.WithMessage("Bad parameters: you must choose at least one stream")
		}
		if n, err := strconv.Atoi(r.Get("tail")); err == nil { // As in Docker, any other text means all.
			o.Tail = n
		}
		log, tty, err := source.OpenLog(ctx, r.Var("name"))
		if err != nil {
			return server.Response{}, err
		}
		if err := log.Readable(); err != nil {
			return server.Response{}, err
		}
		if o.Since, err = r.Time("since"); err != nil {
			return server.Response{}, err
		}
		if r.Get("until") != "0" {
			if o.Until, err = r.Time("until"); err != nil {
				return server.Response{}, err
			}
		}
		o.Raw = tty
		return server.Stream(http.StatusOK, r.StreamType(tty), func(ctx context.Context, w server.FlushWriter) error {
			err := log.Read(ctx, o, w)
			if err == nil || ctx.Err() != nil || errors.Is(err, logs.ErrWrite) {
				return err
			}
			return tellLogError(w, tty, err)
		}), nil
	}
}

// systemError is the stream of stdcopy on which the engine speaks itself.
const systemError = 3

// tellLogError ends a stream whose log cannot be read further with Docker's sentence.
func tellLogError(w server.FlushWriter, tty bool, err error) error {
	b := fmt.Appendf(make([]byte, 8), "Error grabbing logs: %v\n", err)
	b[0] = systemError
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-8))
	if tty {
		b = b[8:]
	}
	if _, werr := w.Write(b); werr != nil {
		return errors.Join(err, werr)
	}
	return nil
}
