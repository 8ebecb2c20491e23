package ovn

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hashicorp/go-hclog"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	connectLimit  = 2 * time.Second
	transactLimit = 3 * time.Second
	reconnect     = 50 * time.Millisecond
)

// session is one connection to one database. A lost one is never repaired: the next one begins anew, with a look at what
// the database holds.
type session struct {
	client client.Client
	gone   chan struct{} // closed when the connection is lost.
}

// open connects and fills the cache with what monitors ask for.
func open(ctx context.Context, log hclog.Logger, endpoint string, db model.ClientDBModel, monitors ...client.MonitorOption) (*session, error) {
	// libovsdb tells through its logger alone when it lost an update.
	logger := funcr.New(func(_, args string) { log.Debug("libovsdb", "says", args) }, funcr.Options{Verbosity: 3})
	c, err := client.NewOVSDBClient(db, client.WithEndpoint(endpoint), client.WithLogger(&logger))
	if err != nil {
		return nil, fmt.Errorf("make a client of %s: %w", db.Name(), err)
	}
	s := &session{client: c, gone: make(chan struct{})}
	// Somebody has to listen at the moment of the loss: the client tells it once and waits for nobody.
	lost := c.DisconnectNotify()
	go func() {
		defer close(s.gone)
		select {
		case <-lost:
		case <-ctx.Done():
		}
	}()
	opening, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	if err := c.Connect(opening); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", db.Name(), err)
	}
	if _, err := c.Monitor(opening, c.NewMonitor(monitors...)); err != nil {
		c.Close()
		return nil, fmt.Errorf("monitor %s: %w", db.Name(), err)
	}
	return s, nil
}

// transact commits all operations or none.
func (s *session) transact(ctx context.Context, ops []ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, transactLimit)
	defer cancel()
	results, err := s.client.Transact(ctx, ops...)
	if err != nil {
		return nil, err
	}
	if failed, err := ovsdb.CheckOperationResults(results, ops); err != nil {
		return nil, fmt.Errorf("%w: %v", err, failed)
	}
	return results, nil
}

// batch collects operations of one transaction; its first error stays.
type batch struct {
	client client.Client
	ops    []ovsdb.Operation
	err    error
	named  int
}

func (b *batch) add(ops []ovsdb.Operation, err error) {
	if err != nil && b.err == nil {
		b.err = err
	}
	b.ops = append(b.ops, ops...)
}

// name is a name for a row that the transaction creates.
func (b *batch) name() string {
	b.named++
	return fmt.Sprintf("row%d", b.named)
}

// create inserts a row and returns the index of its operation, where its UUID will be found.
func (b *batch) create(m model.Model) int {
	b.add(b.client.Create(m))
	return len(b.ops) - 1
}

func (b *batch) mutate(m model.Model, mutations ...model.Mutation) {
	b.add(b.client.Where(m).Mutate(m, mutations...))
}

func (b *batch) update(m model.Model, fields ...any) {
	b.add(b.client.Where(m).Update(m, fields...))
}

func (b *batch) delete(m model.Model) { b.add(b.client.Where(m).Delete()) }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
