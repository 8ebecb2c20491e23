package command

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCopyNewer(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := copyNewer(from, to); !os.IsNotExist(err) {
		t.Errorf("an absent file: %v", err)
	}
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(from, at, at); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	write("one", at)
	for _, want := range []string{"one", "one", "two"} {
		if want == "two" {
			write("two", at.Add(time.Second))
		}
		if err := copyNewer(from, to); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		if err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}
