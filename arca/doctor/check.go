package doctor

import (
	"context"
	"fmt"
	"io"
)

// Finding is what one check saw.
type Finding struct {
	// OK: nothing needs to be done.
	OK bool
	// Warning: something is thinner than it might be, but Arca works.
	Warning bool
	// Text is one sentence; of a failed check it ends with the remedy.
	Text string
}

// Check looks at one thing.
type Check struct {
	Name string
	Look func(ctx context.Context) Finding
}

func good(format string, args ...any) Finding {
	return Finding{OK: true, Text: fmt.Sprintf(format, args...)}
}
func bad(format string, args ...any) Finding { return Finding{Text: fmt.Sprintf(format, args...)} }
func warn(format string, args ...any) Finding {
	return Finding{Warning: true, Text: fmt.Sprintf(format, args...)}
}

// Run looks at everything, tells each finding on out and tells how many are wrong.
func Run(ctx context.Context, out io.Writer, checks []Check) (wrong int, err error) {
	for _, c := range checks {
		f := c.Look(ctx)
		mark := "ok   "
		switch {
		case f.Warning:
			mark = "warn "
		case !f.OK:
			mark = "WRONG"
			wrong++
		}
		if _, err := fmt.Fprintf(out, "%s  %-16s %s\n", mark, c.Name, f.Text); err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}
