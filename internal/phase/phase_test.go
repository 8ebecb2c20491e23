package phase

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := Begin()
		time.Sleep(1500 * time.Microsecond)
		tr.End("boot")
		time.Sleep(time.Second)
		tr.End("start")
		tr.Add("start/runc", 900*time.Millisecond)
		if got, want := tr.String(), "boot 1.5, start 1000.0, start/runc 900.0"; got != want {
			t.Errorf("%q, not %q", got, want)
		}
		if n := len(tr.Phases()); n != 3 {
			t.Errorf("%d phases", n)
		}
	})
	if s := Begin().String(); s != "" {
		t.Errorf("no phase: %q", s)
	}
}
