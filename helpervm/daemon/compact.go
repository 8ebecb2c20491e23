package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// compactAt is the size from which a database's file is compacted. The server itself does it every ten minutes at most,
	// and a storm of changes can fill the memory file system until then.
	compactAt    = 4 << 20
	compactLimit = 5 * time.Second
)

// Compactor keeps the databases' files small. It is used by one goroutine.
type Compactor struct {
	layout Layout
	after  map[string]int64 // sizes after the last time.
}

// NewCompactor makes a compactor of the databases.
func NewCompactor(l Layout) *Compactor { return &Compactor{layout: l, after: map[string]int64{}} }

// Compact compacts those files that are big, and twice as big as after the last time.
func (c *Compactor) Compact(ctx context.Context) error {
	for _, db := range c.layout.databases() {
		info, err := os.Stat(db.file)
		if err != nil || info.Size() < max(compactAt, 2*c.after[db.name]) {
			continue
		}
		if err := c.layout.tell(ctx, "ovsdb-server/compact", db.name); err != nil {
			return fmt.Errorf("compact database %s: %w", db.name, err)
		}
		if info, err = os.Stat(db.file); err == nil {
			c.after[db.name] = info.Size()
		}
	}
	return nil
}

// tell gives the database server a command over its control socket, which speaks JSON-RPC.
func (l Layout) tell(ctx context.Context, method string, params ...string) error {
	ctx, cancel := context.WithTimeout(ctx, compactLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(l.Run, OVSDB+".ctl"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(conn).Encode(map[string]any{"id": 1, "method": method, "params": params}); err != nil {
		return err
	}
	var answer struct {
		Error any `json:"error"`
	}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("%v", answer.Error)
	}
	return nil
}
