package launchd

import (
	"bytes"
	"embed"
	"encoding/xml"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

//go:embed agent daemon
var files embed.FS

// Entitlements is what vmhelper is signed with: without it Virtualization.framework refuses to work. A claim of
// com.apple.vm.networking would get the process killed.
//
//go:embed vmhelper.entitlements
var Entitlements []byte

// The jobs, in the order of their start.
const (
	VMHelper = "com.arca.vmhelper"
	Frontend = "com.arca.frontend"
)

// Labels are those of all jobs, in the order of their start.
var Labels = []string{VMHelper, Frontend}

// Agent is the plist of a job in a user's session, for /Library/LaunchAgents.
func Agent(label string) ([]byte, error) { return read("agent", label) }

// Daemon is the plist of a job that serves one user's instance without a session, for /Library/LaunchDaemons.
func Daemon(label, user, home string) ([]byte, error) {
	if user == "" || user == "root" || strings.ContainsAny(user, "/\n") {
		return nil, fmt.Errorf("job %s: %q is no user that it can run as", label, user)
	}
	if !filepath.IsAbs(home) {
		return nil, fmt.Errorf("job %s: the home directory %q of %s is not absolute", label, home, user)
	}
	b, err := read("daemon", label)
	if err != nil {
		return nil, err
	}
	for mark, value := range map[string]string{"@USER@": user, "@HOME@": home} {
		var text bytes.Buffer
		if err := xml.EscapeText(&text, []byte(value)); err != nil {
			return nil, err
		}
		b = bytes.ReplaceAll(b, []byte(mark), text.Bytes())
	}
	_, err = Parse(b)
	return b, err
}

func read(kind, label string) ([]byte, error) {
	b, err := files.ReadFile(path.Join(kind, label+".plist"))
	if err != nil {
		return nil, fmt.Errorf("there is no %s %q: %w", kind, label, err)
	}
	return b, nil
}
