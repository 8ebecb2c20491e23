package server

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// Limits of what a client may send.
const (
	maxJSONBody = 4 << 20
	// prefetch is how much of a body fasthttp reads before the handler runs. Limits of bodies are ours, by route.
	prefetch  = 1
	maxHeader = 32 << 10
)

// Config says what a server serves.
type Config struct {
	// Routes is the table; see Route.
	Routes []Route
	// EngineVersion is shown in the Server header.
	EngineVersion string
	// Logger takes the request log; nil is silence.
	Logger hclog.Logger
	// Grace is how long short calls may go on after Serve's context has ended; zero means ten seconds.
	Grace time.Duration
}

// Server serves a route table on any number of listeners.
type Server struct {
	cfg     Config
	match   *matcher
	log     hclog.Logger
	http    *fasthttp.Server
	conns   connSet
	counter atomic.Uint64
	headers headers

	base    context.Context
	cancel  context.CancelCauseFunc
	streams context.Context
	end     context.CancelCauseFunc
	// calls counts exchanges and the goroutines of connections.
	calls sync.WaitGroup
}

// New makes a server. It fails on a table that contradicts itself.
func New(cfg Config) (*Server, error) {
	match, err := newMatcher(cfg.Routes)
	if err != nil {
		return nil, fmt.Errorf("server routes: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	s := &Server{cfg: cfg, match: match, log: cfg.Logger}
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.refuse,
		Name:                         fmt.Sprintf("Arca/%s (linux)", cfg.EngineVersion),
		ReadBufferSize:               maxHeader,
		StreamRequestBody:            true,
		MaxRequestBodySize:           prefetch,
		DisablePreParseMultipartForm: true,
		NoDefaultContentType:         true,
		NoDefaultDate:                true, // headers makes it.
		KeepHijackedConns:            true,
		Concurrency:                  1 << 20,
		ConnState:                    s.conns.state,
		Logger:                       quiet{s.log},
	}
	return s, nil
}

// Serve answers on the listeners until ctx ends. Then it stops accepting, ends streams and hijacked connections at
// once and short calls after the grace, and returns when nothing of them is left. It closes the listeners, and is called
// once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	watch, err := newWatcher()
	if err != nil {
		return fmt.Errorf("server watch: %w", err)
	}
	defer watch.close()
	s.conns.watch = watch
	s.base, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	defer s.cancel(ErrStopping)
	s.streams, s.end = context.WithCancelCause(s.base)

	accepting, acceptCtx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		closing := context.AfterFunc(acceptCtx, func() { _ = l.Close() })
		defer closing()
		accepting.Go(func() error { return s.accept(acceptCtx, l) })
	}
	err = accepting.Wait()
	s.end(ErrStopping)
	grace := time.AfterFunc(s.cfg.Grace, func() {
		s.cancel(ErrStopping)
		s.conns.closeAll()
	})
	defer grace.Stop()
	s.conns.stop()
	s.calls.Wait()
	return err
}
