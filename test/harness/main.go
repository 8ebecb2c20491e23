package harness

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// Main runs a package's tests against one instance, which use keeps. It is the body of a TestMain.
func Main(m *testing.M, o Options, use func(*Instance)) {
	os.Exit(Run(m, o, use))
}

// Run is Main for a TestMain that has to tidy up behind it: it returns what the process exits with.
func Run(m *testing.M, o Options, use func(*Instance)) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	up, done := context.WithTimeout(ctx, 10*time.Minute) // the first run makes the images
	defer done()
	i, err := Start(up, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	use(i)
	code := m.Run()
	end, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer done()
	if err := i.Stop(end); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	return code
}
