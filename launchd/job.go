package launchd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"howett.net/plist"
)

// Job is the part of launchd.plist(5) that the jobs of Arca use.
type Job struct {
	Label                  string            `plist:"Label"`
	ProgramArguments       []string          `plist:"ProgramArguments"`
	EnvironmentVariables   map[string]string `plist:"EnvironmentVariables,omitempty"`
	UserName               string            `plist:"UserName,omitempty"`
	GroupName              string            `plist:"GroupName,omitempty"`
	LimitLoadToSessionType []string          `plist:"LimitLoadToSessionType,omitempty"`
	RunAtLoad              bool              `plist:"RunAtLoad,omitempty"`
	KeepAlive              KeepAlive         `plist:"KeepAlive"`
	ThrottleInterval       int               `plist:"ThrottleInterval,omitempty"` // seconds.
	ExitTimeOut            int               `plist:"ExitTimeOut,omitempty"`      // seconds.
	ProcessType            string            `plist:"ProcessType,omitempty"`
	Umask                  int               `plist:"Umask,omitempty"` // decimal.
	SoftResourceLimits     map[string]int    `plist:"SoftResourceLimits,omitempty"`
	HardResourceLimits     map[string]int    `plist:"HardResourceLimits,omitempty"`
}

// KeepAlive says when launchd starts the job again.
type KeepAlive struct {
	SuccessfulExit *bool `plist:"SuccessfulExit,omitempty"` // false: unless it ended with 0, as after `arca down`.
}

// processTypes are those that launchd knows. Only Interactive is not throttled.
var processTypes = []string{"Background", "Standard", "Adaptive", "Interactive"}

// Parse reads a plist. Keys that Job does not have, other types and values that launchd would not take are errors.
func Parse(data []byte) (*Job, error) {
	var raw map[string]any
	if _, err := plist.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("parse plist: %w", err)
	}
	var job Job
	if _, err := plist.Unmarshal(data, &job); err != nil {
		return nil, fmt.Errorf("parse plist: %w", err)
	}
	// What was understood must be all that was said.
	again, err := plist.Marshal(job, plist.XMLFormat)
	if err != nil {
		return nil, fmt.Errorf("parse plist: %w", err)
	}
	var understood map[string]any
	if _, err := plist.Unmarshal(again, &understood); err != nil {
		return nil, fmt.Errorf("parse plist: %w", err)
	}
	for key := range raw {
		if _, ok := understood[key]; !ok {
			return nil, fmt.Errorf("parse plist: launchd's key %q is not one that Arca uses, or it says nothing", key)
		}
	}
	return &job, job.check()
}

func (j *Job) check() error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("job %s: "+format, append([]any{j.Label}, a...)...))
	}
	if !strings.HasPrefix(j.Label, "com.arca.") {
		bad("the label must begin with com.arca.")
	}
	if len(j.ProgramArguments) == 0 || !filepath.IsAbs(j.ProgramArguments[0]) {
		bad("launchd needs an absolute program")
	}
	for _, a := range j.ProgramArguments {
		if strings.HasPrefix(a, "~") || strings.Contains(a, "$") {
			bad("launchd expands nothing in %q", a)
		}
	}
	if j.KeepAlive.SuccessfulExit == nil || *j.KeepAlive.SuccessfulExit {
		bad("KeepAlive must be SuccessfulExit=false: a crash is mended, `arca down` is respected")
	}
	if !slices.Contains(processTypes, j.ProcessType) {
		bad("there is no ProcessType %q", j.ProcessType)
	}
	if strings.EqualFold(j.UserName, "root") {
		bad("it must not run as root")
	}
	for _, l := range []map[string]int{j.SoftResourceLimits, j.HardResourceLimits} {
		for key := range l {
			if key != "NumberOfFiles" {
				bad("there is no limit %q here", key)
			}
		}
	}
	return errors.Join(errs...)
}
