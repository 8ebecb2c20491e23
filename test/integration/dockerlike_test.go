//go:build integration

package integration

import (
	"archive/tar"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

func TestBindOfOneFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(hostDir(t), "f")
	if err := os.WriteFile(file, []byte("host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	arca.Docker(t, "run", "--rm", "-v", file+":/x/y/f", "busybox", "sh", "-c", "cat /x/y/f; echo guest > /x/y/f").OK().Out("host\n")
	if b, err := os.ReadFile(file); err != nil || string(b) != "guest\n" {
		t.Errorf("%q, %v", b, err)
	}
	arca.Docker(t, "run", "--rm", "-v", file+":/etc/hostname:ro", "busybox", "sh", "-c", "cat /etc/hostname; echo > /etc/hostname").Exit(1).
		Out("guest\n").ErrHas("Read-only file system")
}

func TestSharedMemoryIsJoinedAtEachStart(t *testing.T) {
	t.Parallel()
	donor := arca.Start(t, "--ipc", "shareable", "busybox", "sh", "-c", "echo shared > /dev/shm/x; sleep 1000")
	joiner := arca.Container(t)
	arca.Docker(t, "run", "--name", joiner, "--ipc", "container:"+donor, "busybox", "sh", "-c", "cat /dev/shm/x; echo more >> /dev/shm/x").OK().Out("shared\n")
	arca.Docker(t, "start", "-a", joiner).OK().Out("shared\nmore\n")
	arca.Docker(t, "exec", donor, "cat", "/dev/shm/x").OK().Out("shared\nmore\nmore\n")
}

// A sentence of the agent's does not end in the class of its error.
func TestSentencesOfTheAgent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-u", "no-such"}, "unable to find user no-such: no matching entries in passwd file\n"},
		{[]string{"--group-add", "no-such"}, "unable to find group no-such: no matching entries in group file\n"},
	} {
		arca.Docker(t, append(append([]string{"run", "--rm"}, tc.args...), "busybox", "true")...).Exit(125).ErrHas(tc.want)
	}
}

// The input of a container that was started with an open stdin outlives its clients; a client whose own input ends is
// let go with what the process answered.
func TestAttachmentEndsWithTheClientsInput(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "-i", "busybox", "sh", "-c", "while read x; do echo got $x; done")
	for _, line := range []string{"one", "two"} {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "unix", arca.Socket())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(harness.CommandTimeout)); err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, "POST /v1.51/containers/"+name+"/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: arca\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"+line+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if all, err := io.ReadAll(conn); err != nil || !strings.Contains(string(all), "got "+line+"\n") {
			t.Errorf("%q, %v", all, err)
		}
		_ = conn.Close()
	}
	if got := arca.Inspect(t, name, "{{.State.Running}}"); got != "true" {
		t.Error("the container ended with its client's input")
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	volume := arca.Volume(t)
	name := arca.Sleeper(t, "-v", volume+":/v")
	arca.Docker(t, "exec", name, "sh", "-c", "echo own > /own; ln -s /own /link; echo not > /v/not; rm /bin/ls").OK()
	for _, state := range []string{"running", "exited"} {
		if state == "exited" {
			arca.Docker(t, "stop", name).OK()
		}
		file := filepath.Join(t.TempDir(), "tar")
		arca.Docker(t, "export", "-o", file, name).OK()
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			found[h.Name] = string(b) + h.Linkname
		}
		_ = f.Close()
		_, removed := found["bin/ls"]
		_, foreign := found["v/not"]
		_, place := found["v/"]
		if found["own"] != "own\n" || found["link"] != "/own" || removed || foreign || !place {
			t.Errorf("%s: %d files: own %q, link %q, removed %t, foreign %t, place %t", state, len(found), found["own"], found["link"], removed, foreign, place)
		}
	}
	arca.Docker(t, "export", "no-such").Exit(1).ErrHas("No such container: no-such")
}
