package daemon

import (
	"crypto/sha1" //nolint:gosec // the format of ovsdb's files asks for it.
	"fmt"
	"strings"
	"testing"
)

// TestNewDatabase: the file is as ovsdb(5) has it: a header that tells length and hash of the record that follows.
func TestNewDatabase(t *testing.T) {
	file := string(newDatabase([]byte("\n{\"name\": \"X\"}\n\n")))
	header, record, ok := strings.Cut(file, "\n")
	if !ok || record != "{\"name\": \"X\"}\n" {
		t.Fatalf("got %q", file)
	}
	if want := fmt.Sprintf("OVSDB JSON %d %x", len(record), sha1.Sum([]byte(record))); header != want {
		t.Errorf("got %q, want %q", header, want)
	}
}

// TestNoNetworkListeners: no daemon is told to listen on, or to speak to, anything but a unix socket.
func TestNoNetworkListeners(t *testing.T) {
	l := Layout{Run: "/run/x"}
	list := l.Children(nil)
	if len(list) != 4 {
		t.Fatalf("%d daemons", len(list))
	}
	for _, c := range list {
		for _, a := range c.Args {
			for _, bad := range []string{"tcp", "ssl", "6640", "6641", "6642"} {
				if strings.Contains(a, bad) {
					t.Errorf("%s is run with %s", c.Name, a)
				}
			}
		}
	}
}
