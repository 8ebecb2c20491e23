//go:build integration

package fault

import (
	"hash/fnv"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// actions are the ways to fail.
var actions = []string{"error", "kill", "delay:300ms", "panic"}

// unreachable are points that no session of one user reaches, and why.
var unreachable = map[string]string{
	"frontend/agent/Shutdown":        "vmhelper alone asks an agent to shut down",
	"frontend/agent/Shutdown/answer": "vmhelper alone asks an agent to shut down",
}

// share is the part of the cases that is tried, by ARCA_SOAK as with the storms: 1 is all of them. Without it a fortieth
// is.
func share() float64 {
	if scale, err := strconv.ParseFloat(os.Getenv("ARCA_SOAK"), 64); err == nil {
		return min(max(scale, 0), 1)
	}
	return 0.025
}

// chosen tells whether a case belongs to the share: always the same ones, of every point and action some. ARCA_FAULT, a
// regular expression, asks for those that it matches instead.
func chosen(t *testing.T, name string) bool {
	t.Helper()
	if pattern := os.Getenv("ARCA_FAULT"); pattern != "" {
		match, err := regexp.MatchString(pattern, name)
		if err != nil {
			t.Fatal(err)
		}
		return match
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // Never fails.
	return float64(h.Sum32()) < share()*(1<<32)
}

// TestEveryPoint: every point fails in every way.
func TestEveryPoint(t *testing.T) {
	newSession(t).run() // What the first one makes may stay.
	for _, point := range points(t) {
		if unreachable[point] != "" {
			continue
		}
		for _, action := range actions {
			if name := point + "=" + action; chosen(t, name) {
				t.Run(name, func(t *testing.T) { fault(t, point, "1*"+action, true) })
			}
		}
	}
}

// TestEveryPointIsReached: one session comes by every failpoint, so that the other tests mean something.
func TestEveryPointIsReached(t *testing.T) {
	all := points(t)
	for _, point := range all {
		if !strings.HasPrefix(point, "guest/") { // those pass to one agent together, and are seen by that alone
			arm(t, point, "0*error")
		}
	}
	newSession(t).run()
	for _, point := range all {
		if strings.HasPrefix(point, "guest/") {
			continue
		}
		if reached, _ := disarm(t, point); !reached && unreachable[point] == "" {
			t.Errorf("no step of the session reaches %s", point)
		} else if reached && unreachable[point] != "" {
			t.Errorf("%s is reached: take it out of the table", point)
		}
	}
}

// TestKilledAtEachCommit kills the frontend at each commit of the session in turn, before it is durable and after.
func TestKilledAtEachCommit(t *testing.T) {
	newSession(t).run()
	for _, point := range []string{"store/commit", "store/committed"} {
		step := int(math.Round(1 / max(share(), 0.05)))
		for n := 0; ; n += step {
			fired := false
			t.Run(point+"-"+strconv.Itoa(n), func(t *testing.T) { fired = fault(t, point, strconv.Itoa(n)+"-1*kill", false) })
			if !fired {
				break
			}
		}
	}
}

// fault runs a session with a point armed and checks what must stay true.
func fault(t *testing.T, point, action string, must bool) (fired bool) {
	t.Helper()
	s := newSession(t)
	if strings.HasPrefix(point, "guest/") {
		s.begin = func() { arm(t, point, action) } // The next agent takes it, and must live long enough to reach it.
	} else {
		arm(t, point, action)
	}
	s.run()
	reached, fired := disarm(t, point)
	if must && (!reached || !fired) {
		t.Errorf("reached: %v, fired: %v: no step of the session reaches this point", reached, fired)
	}
	if !fired {
		arm(t, point, "0*error") // takes back what a process holds
		newSession(t).images()
		disarm(t, point)
	}
	harness.Eventually(t, 30*time.Second, func() error { return arca.Command(t.Context(), "version").Run() })
	if pid := arca.DaemonPID("vmhelper"); pid == 0 || arca.Worker(t) == 0 {
		t.Errorf("a daemon is missing: keeper %d, worker %d", pid, arca.Worker(t))
	}
	arca.Audit(t)
	return fired
}
