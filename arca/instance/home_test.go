package instance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	t.Setenv("ARCA_HOME", "/from/environment")
	for _, tc := range []struct{ name, flag, want, err string }{
		{"flag wins", "/from/flag/", "/from/flag", ""},
		{"environment", "", "/from/environment", ""},
		{"too long", "/" + strings.Repeat("a", maxHome), "", "choose a shorter one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Resolve(tc.flag)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Fatalf("Resolve(%q) = %q, %v; want %q", tc.flag, got, err, tc.want)
			}
		})
	}
}

func TestCheckReachable(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	home := Home(filepath.Join(closed, "sub", "home"))
	stranger := Identity{Name: "stranger", UID: 54321, GID: 54321}
	err := home.CheckReachable(stranger)
	if err == nil || !strings.Contains(err.Error(), "may not enter "+closed) || !strings.Contains(err.Error(), "--home") {
		t.Errorf("a home that cannot be entered: %v", err)
	}
	self := Identity{Name: "self", UID: os.Getuid(), GID: os.Getgid()}
	if err := home.CheckReachable(self); err != nil {
		t.Errorf("an own home: %v", err)
	}
}
