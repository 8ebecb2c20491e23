package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/arca-engine/arca/arca/engine"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

// hopeless is how many restarts in a row say that a daemon will not come up.
const hopeless = 4

// errHopeless says that a daemon ends again and again.
var errHopeless = errors.New("it will not come up")

// waitReady waits until the API answers and vmhelper has its socket, or a daemon is seen to end again and again. revive
// starts what was found running and runs no more.
func waitReady(ctx context.Context, home instance.Home, most time.Duration, revive func(context.Context) error) error {
	client := engine.New(home.APISocket())
	defer client.Close()
	var gaveUp error
	err := waitFor(ctx, most, "the daemons to be ready", func(ctx context.Context) error {
		if err := revive(ctx); err != nil {
			return err
		}
		for _, job := range jobs {
			state, _, err := supervisor.Read(home.Run(), job)
			if err != nil {
				return err
			}
			if state.Restarts >= hopeless {
				gaveUp = failed(home, job, fmt.Errorf("arca-%s ends again and again, %w: %s", job, errHopeless, state.LastEnd))
				return nil
			}
		}
		if err := checkVMHelper(ctx, home); err != nil {
			return failed(home, jobVMHelper, err)
		}
		if err := client.Ping(ctx); err != nil {
			return failed(home, jobFrontend, err)
		}
		return nil
	})
	return errors.Join(gaveUp, err)
}

// probeLimit bounds one look at a socket: what does not answer may be about to die, and is started anew when that shows.
const probeLimit = time.Second

// checkVMHelper asks for a connection where the caller may, for the socket's presence else.
func checkVMHelper(ctx context.Context, home instance.Home) error {
	// A worker whose keeper was killed may hold the socket without taking anybody, for as long as it takes to end.
	d := net.Dialer{Timeout: probeLimit}
	conn, err := d.DialContext(ctx, "unix", home.VMHelperSocket())
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// logError is a failure with the end of the log that explains it.
type logError struct {
	err  error
	path string
	tail string
}

func (e *logError) Unwrap() error { return e.err }
func (e *logError) Error() string {
	if e.tail == "" {
		return fmt.Sprintf("%v; its log is %s", e.err, e.path)
	}
	return fmt.Sprintf("%v; the end of its log (%s):\n%s", e.err, e.path, e.tail)
}

func failed(home instance.Home, job string, err error) error {
	path := home.Log(job)
	return &logError{err: err, path: path, tail: tail(path, 8)}
}

// tail tells the last n lines of a file, indented; of a long file only its last 16 KiB are read.
func tail(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	const most = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, 2); err != nil {
			return ""
		}
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
