package launchctl

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a launchctl that notes what it is asked, knows the loaded labels and refuses what contains "refused".
func fake(t *testing.T, loaded string) (s Session, asked func() string) {
	t.Helper()
	dir := t.TempDir()
	script := `#!/bin/sh
echo "$*" >>"` + dir + `/asked"
case "$*" in
*refused*) echo "Could not find service" >&2; exit 113;;
print*) [ "$2" = "gui/501/` + loaded + `" ];;
esac
`
	program := filepath.Join(dir, "launchctl")
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return Session{Program: program, Agents: dir, UID: 501}, func() string {
		b, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.TrimSpace(string(b)), dir, "DIR")
	}
}

func TestStart(t *testing.T) {
	for _, tc := range []struct {
		name, label, loaded, asked, err string
		installed, managed              bool
	}{
		{name: "not installed", label: "com.arca.x"},
		{name: "loaded", label: "com.arca.x", loaded: "com.arca.x", installed: true, managed: true,
			asked: "print gui/501/com.arca.x\nkickstart gui/501/com.arca.x"},
		{name: "not loaded", label: "com.arca.x", installed: true, managed: true,
			asked: "print gui/501/com.arca.x\nbootstrap gui/501 DIR/com.arca.x.plist\nkickstart gui/501/com.arca.x"},
		{name: "refused", label: "com.arca.refused", installed: true, err: "Could not find service",
			asked: "print gui/501/com.arca.refused\nbootstrap gui/501 DIR/com.arca.refused.plist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, asked := fake(t, tc.loaded)
			if tc.installed {
				if err := os.WriteFile(filepath.Join(s.Agents, tc.label+".plist"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			managed, err := s.Start(t.Context(), tc.label)
			if managed != tc.managed || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("managed %v, %v", managed, err)
			}
			if got := asked(); got != tc.asked {
				t.Errorf("asked:\n%s\nwant:\n%s", got, tc.asked)
			}
		})
	}
	if managed, err := (Session{}).Start(context.WithoutCancel(t.Context()), "com.arca.x"); managed || err != nil {
		t.Errorf("without launchd: %v, %v", managed, err)
	}
}
