//go:build integration

package crash

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPrivileges: the keeper alone is root, the worker may bind low ports and nothing more, the frontend may nothing.
func TestPrivileges(t *testing.T) {
	for _, tc := range []struct {
		what         string
		pid          int
		root         bool
		capabilities string
	}{
		{"frontend", frontend(), false, "0000000000000000"},
		{"worker", arca.Worker(t), false, "0000000000000400"},
		{"keeper", keeper(), true, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			status := readStatus(t, tc.pid)
			uids := strings.Fields(status["Uid"])
			for _, uid := range uids {
				if (uid == "0") != tc.root {
					t.Errorf("uids %v", uids)
				}
			}
			if tc.capabilities == "" {
				return
			}
			for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
				if got := status[set]; got != tc.capabilities && got != "0000000000000000" {
					t.Errorf("%s is %s", set, got)
				}
			}
			if status["CapEff"] != tc.capabilities {
				t.Errorf("CapEff is %s, want %s", status["CapEff"], tc.capabilities)
			}
			if regexp.MustCompile(`\b0\b`).MatchString(status["Groups"]) {
				t.Errorf("it is in root's group: %s", status["Groups"])
			}
		})
	}
	info, err := os.Stat(arca.Socket())
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode&^0o660 != 0 {
		t.Errorf("the API socket has mode %o", mode)
	}
}

func readStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.TrimSpace(value)
	}
	return status
}
