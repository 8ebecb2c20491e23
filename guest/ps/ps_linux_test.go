package ps

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// fakeProc makes a /proc with one process.
func fakeProc(t testing.TB, pid int, stat, cmdline string) string {
	t.Helper()
	proc := t.TempDir()
	dir := filepath.Join(proc, fmt.Sprint(pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"stat": stat, "cmdline": cmdline} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

const rest = " S 1 7 7 34816 7 4194304 1 2 3 4 150 50 0 0 20 0 3 0 100 1048576 10 18446744073709551615 1 1 0 0"

// A process names itself as it likes; the listing keeps its form.
func TestHostileNames(t *testing.T) {
	for _, c := range []struct{ comm, cmdline, want string }{
		{"sh", "sh\x00-c\x00echo a\x00", "sh -c echo a"},
		{") Z 9 9 (", "", "[) Z 9 9 (]"},
		{"a\nb", "", "[a?b]"},
		{"x", "a\nb\x00\x1b[2Jc\x7f\x00", "a?b ?[2Jc?"},
		{"\xff\xfe", "", "[\ufffd\ufffd]"},
		{"", "", "[]"},
		{"spaces in it (and) more)", "", "[spaces in it (and) more)]"},
		{"x", strings.Repeat("y", maxArgs+9), strings.Repeat("y", maxArgs)},
	} {
		proc := fakeProc(t, 7, "7 ("+c.comm+")"+rest, c.cmdline)
		_, rows, err := List(proc, []int{7, 8}, []string{"-o", "pid,ppid,stat,tty,time,cmd"}, func(pid int) int { return pid + 1000 })
		if err != nil || len(rows) != 1 {
			t.Fatalf("%q: %v, %v", c.comm, rows, err)
		}
		if want := []string{"1007", "1001", "Ssl+", "pts/0", "00:00:02", c.want}; !slices.Equal(rows[0], want) {
			t.Errorf("%q: %q, want %q", c.comm, rows[0], want)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add("7 (sh)"+rest, "sh\x00", "-ef")
	f.Add("7 (", "", "aux")
	f.Add("7 ()) S", "\x00\xff", "-o pid=X,comm")
	f.Add(")7(", "", "-o")
	f.Fuzz(func(t *testing.T, stat, cmdline, args string) {
		titles, rows, err := List(fakeProc(t, 7, stat, cmdline), []int{7}, strings.Fields(args), func(pid int) int { return pid })
		if err != nil {
			return
		}
		for _, r := range rows {
			if len(r) != len(titles) {
				t.Fatalf("%d fields, %d titles", len(r), len(titles))
			}
			for _, field := range r {
				if !utf8.ValidString(field) || strings.ContainsAny(field, "\n\x00\x1b") {
					t.Fatalf("field %q", field)
				}
			}
		}
	})
}
