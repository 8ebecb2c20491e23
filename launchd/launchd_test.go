package launchd

import (
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"howett.net/plist"
)

// TestPlists holds every plist to what launchd knows.
func TestPlists(t *testing.T) {
	seen := 0
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		b, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		b = bytes.ReplaceAll(b, []byte("@HOME@"), []byte("/Users/somebody"))
		job, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		if job.Label+".plist" != path.Base(name) || !slices.Contains(Labels, job.Label) {
			t.Errorf("%s: label %q", name, job.Label)
		}
		if daemon := strings.HasPrefix(name, "daemon/"); (job.UserName != "") != daemon || (len(job.LimitLoadToSessionType) > 0) == daemon {
			t.Errorf("%s: user %q, sessions %v", name, job.UserName, job.LimitLoadToSessionType)
		}
		if job.ProcessType != "Interactive" || job.ExitTimeOut < 60 || job.SoftResourceLimits["NumberOfFiles"] < 65536 {
			t.Errorf("%s: it would be throttled or short of files: %+v", name, job)
		}
		return nil
	})
	if err != nil || seen != 2*len(Labels) {
		t.Errorf("%d plists, %v", seen, err)
	}
}

func TestDaemon(t *testing.T) {
	b, err := Daemon(VMHelper, "builder", "/Users/b & c")
	if err != nil {
		t.Fatal(err)
	}
	job, err := Parse(b)
	if err != nil || job.UserName != "builder" || !slices.Contains(job.ProgramArguments, "/Users/b & c/.arca") {
		t.Errorf("%+v, %v", job, err)
	}
	for _, tc := range []struct{ label, user, home string }{
		{VMHelper, "root", "/var/root"}, {VMHelper, "", "/x"}, {Frontend, "builder", "relative"}, {"com.arca.nothing", "builder", "/x"},
	} {
		if _, err := Daemon(tc.label, tc.user, tc.home); err == nil {
			t.Errorf("%+v was taken", tc)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := Agent(Frontend)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, from, to, want string }{
		{"an unknown key", "<key>Umask</key>", "<key>Umaks</key>", `"Umaks"`},
		{"another type", "<integer>63</integer>", "<string>octal</string>", "parse plist"},
		{"a relative program", "/usr/local/bin/arca", "bin/arca", "absolute program"},
		{"a tilde", "<string>supervise</string>", "<string>~/x</string>", "expands nothing"},
		{"a restart after arca down", "<key>SuccessfulExit</key>\n\t\t<false/>", "<key>SuccessfulExit</key>\n\t\t<true/>", "arca down"},
		{"an unknown process type", "Interactive", "Important", "ProcessType"},
	} {
		b := bytes.Replace(good, []byte(tc.from), []byte(tc.to), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%s: nothing was changed", tc.name)
		}
		if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// TestEntitlements wants the one that works and no other: some get the process killed.
func TestEntitlements(t *testing.T) {
	var got map[string]bool
	if _, err := plist.Unmarshal(Entitlements, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !got["com.apple.security.virtualization"] {
		t.Errorf("%v", got)
	}
}
