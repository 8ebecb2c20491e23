package phase

import (
	"fmt"
	"strings"
	"time"
)

// Phase is a part of some work.
type Phase struct {
	Name string
	Took time.Duration
}

// Trace is the phases of some work so far.
type Trace struct {
	last   time.Time
	phases []Phase
}

// Begin begins the first phase.
func Begin() *Trace { return &Trace{last: time.Now()} }

// End ends the phase that is under way, gives it its name, and begins the next one.
func (t *Trace) End(name string) {
	now := time.Now()
	t.phases = append(t.phases, Phase{name, now.Sub(t.last)})
	t.last = now
}

// Add adds a phase that was measured elsewhere, within the one that ended last.
func (t *Trace) Add(name string, took time.Duration) { t.phases = append(t.phases, Phase{name, took}) }

// Phases returns what has ended, in order.
func (t *Trace) Phases() []Phase { return t.phases }

// String tells the phases in milliseconds: "boot 20.1, start 41.0".
func (t *Trace) String() string {
	var b strings.Builder
	for i, p := range t.phases {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %.1f", p.Name, float64(p.Took)/float64(time.Millisecond))
	}
	return b.String()
}
