package reaper

import (
	"os"
	"testing"
	"time"
)

func got(t *testing.T, c <-chan Exit, code int) {
	t.Helper()
	select {
	case e := <-c:
		if e.Code != code {
			t.Errorf("code %d, want %d", e.Code, code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no exit came")
	}
}

// base is beyond all process numbers that there are.
const base = 1 << 30

func TestClaims(t *testing.T) {
	r := &Reaper{claims: map[int]chan Exit{}, unclaimed: map[int]Exit{}}
	release := r.Hold()
	early := r.Claim(base + 1)
	r.deliver(Exit{PID: base + 1, Code: 3})
	got(t, early, 3)
	r.deliver(Exit{PID: base + 2, Code: 4}) // Before its claim, while held.
	got(t, r.Claim(base+2), 4)
	r.deliver(Exit{PID: 5, Code: 1})
	other := r.Hold()
	release()
	release() // Once is enough.
	if len(r.unclaimed) != 1 {
		t.Errorf("%d are kept", len(r.unclaimed))
	}
	other()
	if len(r.unclaimed) != 0 {
		t.Error("the exits of strangers are kept without a hold")
	}
	r.deliver(Exit{PID: 6})
	if len(r.unclaimed) != 0 || len(r.claims) != 0 {
		t.Error("something is left")
	}
}

// A number that comes again belongs to whoever holds it now.
func TestReusedNumber(t *testing.T) {
	r := &Reaper{claims: map[int]chan Exit{}, unclaimed: map[int]Exit{}}
	defer r.Hold()()
	first := r.Claim(9)
	r.deliver(Exit{PID: 9, Code: 1})
	second := r.Claim(9)
	r.deliver(Exit{PID: 9, Code: 2})
	got(t, first, 1)
	got(t, second, 2)
}

// Holds that overlap for long keep the exits of strangers, whose numbers come again.
func TestExitOfAnEarlierProcess(t *testing.T) {
	r := &Reaper{claims: map[int]chan Exit{}, unclaimed: map[int]Exit{}}
	defer r.Hold()()
	r.deliver(Exit{PID: os.Getpid(), Code: 1})
	c := r.Claim(os.Getpid())
	select {
	case e := <-c:
		t.Fatalf("a running process has exited with %d", e.Code)
	default:
	}
	r.deliver(Exit{PID: os.Getpid(), Code: 2})
	got(t, c, 2)
}
