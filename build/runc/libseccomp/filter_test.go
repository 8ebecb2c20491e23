package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// build makes the calls of a profile; with one more rule when more is set.
func build(t *testing.T, more bool) *ScmpFilter {
	t.Helper()
	f, err := NewFilter(ActErrno.SetReturnCode(1))
	if err != nil {
		t.Fatal(err)
	}
	call := func(name string) ScmpSyscall {
		s, err := GetSyscallFromName(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cond, err := MakeCondition(0, CompareMaskedEqual, 0xff, 0x10)
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{f.SetNoNewPrivsBit(false), f.AddRule(call("read"), ActAllow), f.AddRule(call("write"), ActAllow),
		f.AddRuleConditional(call("personality"), ActAllow, []ScmpCondition{cond})}
	if more {
		errs = append(errs, f.AddRule(call("ptrace"), ActKillProcess))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return f
}

func export(t *testing.T, f *ScmpFilter) []byte {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := f.ExportBPF(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCompiled holds that a recorded filter comes back as libseccomp made it, and that a profile that goes on otherwise,
// or ends before, is compiled anew.
func TestCompiled(t *testing.T) {
	plain, longer := export(t, build(t, false)), export(t, build(t, true))
	if bytes.Equal(plain, longer) {
		t.Fatal("two profiles, one filter")
	}
	compiled := map[bool]Compiled{}
	for _, more := range []bool{false, true} {
		Record = func(c Compiled) { compiled[more] = c }
		file, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if err := build(t, more).ExportBPF(file); !errors.Is(err, ErrRecorded) {
			t.Fatalf("record: %v", err)
		}
		_ = file.Close()
	}
	Record = nil
	if !bytes.Equal(compiled[false].BPF, plain) || !bytes.Equal(compiled[true].BPF, longer) {
		t.Fatal("what was recorded is not what libseccomp makes")
	}
	// Marked, to see which is taken.
	mark := func(c Compiled, m string) Compiled { c.BPF = []byte(m); return c }
	for _, tc := range []struct {
		name          string
		known         []Compiled
		plain, longer string
	}{
		{"both known", []Compiled{mark(compiled[true], "L"), mark(compiled[false], "P")}, "P", "L"},
		{"a beginning known", []Compiled{mark(compiled[false], "P")}, "P", string(longer)},
		{"a longer one known", []Compiled{mark(compiled[true], "L")}, string(plain), "L"},
		{"none known", nil, string(plain), string(longer)},
	} {
		old := filtersJSON
		var err error
		if filtersJSON, err = json.Marshal(tc.known); err != nil {
			t.Fatal(err)
		}
		if got := export(t, build(t, false)); string(got) != tc.plain {
			t.Errorf("%s: the plain profile gave %q", tc.name, got)
		}
		if got := export(t, build(t, true)); string(got) != tc.longer {
			t.Errorf("%s: the longer profile gave %q", tc.name, got)
		}
		filtersJSON = old
	}
}
