package agent

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func jsonFields(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	slices.Sort(names)
	return names
}

// TestOCISpecIsWhole holds that nothing of a spec is lost but what is dropped on purpose.
func TestOCISpecIsWhole(t *testing.T) {
	dropped := []string{"hooks,omitempty", "solaris,omitempty", "windows,omitempty", "vm,omitempty", "zos,omitempty", "freebsd,omitempty"}
	want := slices.DeleteFunc(jsonFields(reflect.TypeFor[specs.Spec]()), func(s string) bool { return slices.Contains(dropped, s) })
	if got := jsonFields(reflect.TypeFor[ociSpec]()); !slices.Equal(got, want) {
		t.Errorf("spec: %q, not %q", got, want)
	}
	if got, want := jsonFields(reflect.TypeFor[ociLinux]()), jsonFields(reflect.TypeFor[specs.Linux]()); !slices.Equal(got, want) {
		t.Errorf("linux: %q, not %q", got, want)
	}
	in := `{"ociVersion":"1.3.0","hooks":{"prestart":[{"path":"/x"}]},"linux":{"resources":{"pids":{"limit":7}},"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}}`
	var s ociSpec
	if err := json.Unmarshal([]byte(in), &s); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"ociVersion":"1.3.0","linux":{"resources":{"pids":{"limit":7}},"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}}`; string(out) != want {
		t.Errorf("%s, not %s", out, want)
	}
}
