package launchctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Session is the launchd domain of a user's session.
type Session struct {
	Program string // launchctl; empty: there is no launchd here, and no job is ever managed.
	Agents  string // directory of the installed agents.
	UID     int
}

// Start has launchd run a job, if it is one that is installed. It tells whether launchd has it.
func (s Session) Start(ctx context.Context, label string) (managed bool, err error) {
	if s.Program == "" {
		return false, nil
	}
	plist := filepath.Join(s.Agents, label+".plist")
	if _, err := os.Stat(plist); errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("start %s: %w", label, err)
	}
	domain := fmt.Sprintf("gui/%d", s.UID)
	if s.run(ctx, "print", domain+"/"+label) != nil { // launchd has not loaded it, or the user has unloaded it.
		if err := s.run(ctx, "bootstrap", domain, plist); err != nil {
			return false, fmt.Errorf("load %s: %w", plist, err)
		}
	}
	if err := s.run(ctx, "kickstart", domain+"/"+label); err != nil {
		return true, fmt.Errorf("start %s: %w", label, err)
	}
	return true, nil
}

func (s Session) run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, s.Program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(s.Program), strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
