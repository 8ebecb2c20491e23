//go:build integration

package crash

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
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
			if status["NoNewPrivs"] != "1" {
				t.Errorf("a set-user-ID program would give it more: NoNewPrivs is %s", status["NoNewPrivs"])
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

// TestAgentPrivileges: an agent is root, as the first process of namespaces that are its own.
func TestAgentPrivileges(t *testing.T) {
	agent := harness.Parent(arca.ContainerPID(t, arca.Sleeper(t)))
	status := readStatus(t, agent)
	if numbers := strings.Fields(status["NSpid"]); len(numbers) != 2 || numbers[1] != "1" {
		t.Errorf("it is process %v of its namespaces", numbers)
	}
	for _, ns := range []string{"pid", "mnt", "net", "ipc", "uts", "cgroup"} {
		own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", agent, ns))
		if err != nil {
			t.Fatal(err)
		}
		if host, err := os.Readlink("/proc/self/ns/" + ns); err != nil || host == own {
			t.Errorf("it is in the machine's %s namespace: %s, %v", ns, own, err)
		}
	}
	// Nothing of the machine's file system is below its root.
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", agent, arca.Home)); err == nil {
		t.Errorf("it sees %s", arca.Home)
	}
}

// TestVMHelperRefusesStrangers: the frontend alone may speak to vmhelper, and nobody gets a descriptor without its token.
func TestVMHelperRefusesStrangers(t *testing.T) {
	dir := filepath.Join(arca.Home, "run", "vmhelper")
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || info.Mode().Perm() != 0o750 || st.Uid != 0 {
		t.Errorf("the directory of vmhelper's sockets: mode %o, %+v", info.Mode().Perm(), info.Sys())
	}
	for _, socket := range []string{"vmhelper.sock", "descriptor.sock"} {
		for what, send := range map[string]string{
			"preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "token": strings.Repeat("t", 64), "garbage": strings.Repeat("\xff\x00", 5000),
		} {
			// Root is a stranger too.
			conn, err := net.Dial("unix", filepath.Join(dir, socket))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte(send)) // it may be closed already
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			answer, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s of a stranger: %s stays open", what, socket)
			}
			if len(answer) > 0 {
				t.Errorf("%s of a stranger: %s answered %q", what, socket, answer)
			}
			_ = conn.Close()
		}
	}
	arca.Docker(t, "run", "--rm", "busybox", "true").OK()
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
