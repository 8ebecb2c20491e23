package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Env is the environment variable that arms points.
const Env = "ARCA_FAILPOINTS"

// ErrInjected is returned by a point that is armed with error.
var ErrInjected = errors.New("injected failure")

type point struct {
	action string
	delay  time.Duration

	mu   sync.Mutex
	skip int
	left int // -1: no bound.
}

// plan is what is armed: points named when the process started, and a folder where a test arms more of them later.
type plan struct {
	mu     sync.Mutex
	points map[string]*point
	folder string
}

var armed atomic.Pointer[plan]

func init() {
	if v := os.Getenv(Env); v != "" {
		if err := Arm(v); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", Env, err)
			os.Exit(2)
		}
	}
}

// Arm replaces all armed points by those of spec; an empty one disarms.
func Arm(spec string) error {
	if spec == "" {
		armed.Store(nil)
		return nil
	}
	points := map[string]*point{}
	if folder, ok := strings.CutPrefix(spec, folderPrefix); ok {
		armed.Store(&plan{points: points, folder: folder})
		return nil
	}
	for _, term := range strings.Split(spec, ";") {
		if term = strings.TrimSpace(term); term == "" {
			continue
		}
		name, action, ok := strings.Cut(term, "=")
		if !ok || name == "" {
			return fmt.Errorf("arm failpoint %q: it must read name=action", term)
		}
		p, err := parse(action)
		if err != nil {
			return fmt.Errorf("arm failpoint %q: %w", name, err)
		}
		points[name] = p
	}
	armed.Store(&plan{points: points})
	return nil
}

func parse(s string) (*point, error) {
	p := &point{left: -1}
	var err error
	if n, rest, ok := strings.Cut(s, "-"); ok {
		if p.skip, err = strconv.Atoi(n); err != nil || p.skip < 0 {
			return nil, fmt.Errorf("the number of hits to pass is %q", n)
		}
		s = rest
	}
	if n, rest, ok := strings.Cut(s, "*"); ok {
		if p.left, err = strconv.Atoi(n); err != nil || p.left < 0 {
			return nil, fmt.Errorf("the number of hits is %q", n)
		}
		s = rest
	}
	p.action = s
	if d, ok := strings.CutPrefix(s, "delay:"); ok {
		p.action = "delay"
		p.delay, err = time.ParseDuration(d)
		return p, err
	}
	switch s {
	case "error", "panic", "kill":
		return p, nil
	}
	return nil, fmt.Errorf("unknown action %q", s)
}

// Hit does what the point name is armed with. It returns nil for a point that is not.
func Hit(name string) error {
	plan := armed.Load()
	if plan == nil {
		return nil
	}
	p := plan.find(name)
	if p == nil || !p.due() {
		return nil
	}
	plan.note(name)
	return p.act(name)
}

func (p *point) act(name string) error {
	switch p.action {
	case "error":
		return fmt.Errorf("failpoint %s: %w", name, ErrInjected)
	case "panic":
		panic("failpoint " + name)
	case "delay":
		time.Sleep(p.delay)
	case "kill":
		kill()
	}
	return nil
}

func (p *point) due() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.skip > 0:
		p.skip--
		return false
	case p.left == 0:
		return false
	case p.left > 0:
		p.left--
	}
	return true
}

// kill ends the process without any clean-up.
func kill() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	os.Exit(137) // The first process of a pid namespace cannot kill itself.
}
