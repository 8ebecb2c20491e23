package harness

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// Name is a name for an object of the test, unlike any other.
func Name(t testing.TB) string {
	t.Helper()
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(notInNames.ReplaceAllString(t.Name(), "-"))
	if len(name) > 40 {
		name = name[len(name)-40:]
	}
	return "t" + strings.Trim(name, "-") + "-" + hex.EncodeToString(b[:])
}

// Container is a name for a container of the test; what bears it in the end is removed with its volumes.
func (i *Instance) Container(t testing.TB) string {
	t.Helper()
	name := Name(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), CommandTimeout)
		defer cancel()
		out, err := i.Command(ctx, "rm", "-f", "-v", name).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "No such container") {
			t.Errorf("remove %s: %v: %s", name, err, out)
		}
	})
	return name
}

// Start starts a container that lives until the test ends (unless the arguments say otherwise) and tells its name.
func (i *Instance) Start(t testing.TB, args ...string) string {
	t.Helper()
	name := i.Container(t)
	i.Docker(t, append([]string{"run", "-d", "--name", name}, args...)...).OK()
	return name
}

// Sleeper is a running container that ends at once on SIGTERM.
func (i *Instance) Sleeper(t testing.TB, flags ...string) string {
	t.Helper()
	return i.Start(t, append(flags, "busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done")...)
}

// Volume makes a volume that is removed when the test ends.
func (i *Instance) Volume(t testing.TB, flags ...string) string {
	t.Helper()
	name := Name(t)
	i.Docker(t, append(append([]string{"volume", "create"}, flags...), name)...).OK().Out(name + "\n")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), CommandTimeout)
		defer cancel()
		out, err := i.Command(ctx, "volume", "rm", "-f", name).CombinedOutput()
		if err != nil {
			t.Errorf("remove volume %s: %v: %s", name, err, out)
		}
	})
	return name
}

// Inspect tells what a template yields of an object.
func (i *Instance) Inspect(t testing.TB, object, template string) string {
	t.Helper()
	return i.Docker(t, "inspect", "--format", template, object).OK().Line()
}

// Eventually waits until check succeeds; its last failure is told.
func Eventually(t testing.TB, most time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %s: %v", most, err)
		}
	}
}

// WaitInspect waits until a template yields what is wanted.
func (i *Instance) WaitInspect(t testing.TB, object, template, want string) {
	t.Helper()
	Eventually(t, 30*time.Second, func() error {
		if got := i.Inspect(t, object, template); got != want {
			return errors.New(template + " of " + object + " is " + got + ", want " + want)
		}
		return nil
	})
}
