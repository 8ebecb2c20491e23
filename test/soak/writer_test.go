//go:build soak

package soak

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
)

// writer inserts rows one by one through one exec and counts those that the database has told committed.
type writer struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	next   atomic.Int64
}

// write starts a writer whose first row is number from.
func write(t *testing.T, name string, from int) *writer {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &writer{cancel: cancel, done: make(chan struct{})}
	w.next.Store(int64(from))
	// Each statement is answered with its number after its commit.
	script := fmt.Sprintf(`n=%d; while :; do echo "INSERT INTO d.t VALUES ($n); SELECT $n;"; n=$((n+1)); done | mariadb -px -N -n --force`, from)
	cmd := arca.Command(ctx, "exec", name, "bash", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		for s := bufio.NewScanner(out); s.Scan(); {
			n, err := strconv.ParseInt(s.Text(), 10, 64)
			if err != nil || n != w.next.Load() {
				break
			}
			w.next.Store(n + 1)
		}
		cancel(nil)
		_ = cmd.Wait()
	}()
	return w
}

// committed tells how many rows, from number 0 on, are committed.
func (w *writer) committed() int { return int(w.next.Load()) }

// stop ends the writer and tells how many rows are committed.
func (w *writer) stop() int {
	w.cancel(nil)
	<-w.done
	return w.committed()
}
