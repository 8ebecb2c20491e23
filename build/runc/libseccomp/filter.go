package seccomp

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"upstream.invalid/libseccomp-golang"
)

// Compiled is a filter that libseccomp has compiled.
type Compiled struct {
	Calls string `json:"calls"` // one line each.
	BPF   []byte `json:"bpf"`
}

// The build replaces this file by one with filters in it.
//
//go:embed filters.json
var filtersJSON []byte

// Record, when set, is given each filter in the place of its export, which then fails with ErrRecorded.
var Record func(Compiled)

// ErrRecorded is the error of an export that was recorded.
var ErrRecorded = errors.New("the filter was recorded")

// ScmpFilter is a filter. Only what runc uses of libseccomp's is there.
type ScmpFilter struct {
	inner *seccomp.ScmpFilter
	known []Compiled // those that began with the calls that were made.
	calls strings.Builder
	rules []rule // not yet made to inner.
}

type rule struct {
	call   ScmpSyscall
	action ScmpAction
	conds  []ScmpCondition
}

// NewFilter makes a filter.
func NewFilter(defaultAction ScmpAction) (*ScmpFilter, error) {
	inner, err := seccomp.NewFilter(defaultAction)
	if err != nil {
		return nil, err
	}
	f := &ScmpFilter{inner: inner}
	if Record == nil && json.Unmarshal(filtersJSON, &f.known) != nil {
		f.known = nil // Then all are compiled.
	}
	return f, f.note("filter %x", uint(defaultAction))
}

// note takes down a call.
func (f *ScmpFilter) note(format string, args ...any) error {
	if Record == nil && len(f.known) == 0 {
		return f.replay()
	}
	before := f.calls.Len()
	fmt.Fprintf(&f.calls, format+"\n", args...)
	if Record != nil {
		return nil
	}
	var still []Compiled
	for _, k := range f.known {
		if strings.HasPrefix(k.Calls[before:], f.calls.String()[before:]) {
			still = append(still, k)
		}
	}
	if f.known = still; len(still) == 0 {
		return f.replay()
	}
	return nil
}

// replay makes the calls that were put off.
func (f *ScmpFilter) replay() error {
	rules := f.rules
	f.rules = nil
	for _, r := range rules {
		if err := f.get().AddRuleConditional(r.call, r.action, r.conds); err != nil {
			return err
		}
	}
	return nil
}

// get returns libseccomp's filter; that of a filter that was not made is not valid, as there.
func (f *ScmpFilter) get() *seccomp.ScmpFilter {
	if f.inner == nil {
		f.inner = &seccomp.ScmpFilter{}
	}
	return f.inner
}

// AddRule adds a rule without conditions.
func (f *ScmpFilter) AddRule(call ScmpSyscall, action ScmpAction) error {
	return f.AddRuleConditional(call, action, nil)
}

// AddRuleConditional adds a rule of which all conditions must hold.
func (f *ScmpFilter) AddRuleConditional(call ScmpSyscall, action ScmpAction, conds []ScmpCondition) error {
	f.rules = append(f.rules, rule{call, action, conds})
	line := fmt.Sprintf("rule %d %x", int32(call), uint(action))
	for _, c := range conds {
		line += fmt.Sprintf(" %d %d %x %x", c.Argument, uint(c.Op), c.Operand1, c.Operand2)
	}
	return f.note("%s", line)
}

// ExportBPF writes the compiled filter to file.
func (f *ScmpFilter) ExportBPF(file *os.File) error {
	if Record != nil {
		return f.record()
	}
	for _, k := range f.known {
		if k.Calls == f.calls.String() {
			_, err := file.Write(k.BPF)
			return err
		}
	}
	f.known = nil
	if err := f.replay(); err != nil {
		return err
	}
	return f.get().ExportBPF(file)
}

// record lets libseccomp compile and hands on what comes of it.
func (f *ScmpFilter) record() error {
	if err := f.replay(); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "bpf")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := f.get().ExportBPF(file); err != nil {
		return err
	}
	bpf, err := os.ReadFile(file.Name())
	if err != nil {
		return err
	}
	Record(Compiled{f.calls.String(), bpf})
	return ErrRecorded
}
