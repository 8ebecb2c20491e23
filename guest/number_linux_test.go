package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// TestNumbersAreTheHosts finds the processes of a container by the numbers that the agent tells.
func TestNumbersAreTheHosts(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	check := func(pid int32, want string) {
		t.Helper()
		var b []byte
		var err error
		for end := time.Now().Add(5 * time.Second); len(b) == 0 && err == nil && time.Now().Before(end); { // The kernel fills it in last.
			b, err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		}
		if got := strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " "); err != nil || got != want {
			t.Errorf("process %d is %q, expected %q: %v", pid, got, want, err)
		}
	}
	res, err := s.agent.Start(t.Context(), request(t, id, "sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	check(res.Pid, "sleep 1000")
	req := &guestv1.ExecRequest{ContainerId: id, ExecId: randomID(), Process: marshalSpec(t, process("sleep", "2000"))}
	for range 2 { // The second time it runs already.
		ex, err := s.agent.Exec(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		check(ex.Pid, "sleep 2000")
	}
	top, err := s.agent.Processes(t.Context(), &guestv1.ProcessesRequest{ContainerId: id, PsArgs: []string{"-o", "pid,ppid,args"}})
	if err != nil || len(top.Rows) != 2 {
		t.Fatalf("%v, %v", top, err)
	}
	for _, r := range top.Rows {
		pid, err := strconv.Atoi(r.Fields[0])
		if err != nil {
			t.Fatal(err)
		}
		check(int32(pid), r.Fields[2])
		if r.Fields[1] != fmt.Sprint(s.cmd.Process.Pid) {
			t.Errorf("the parent of %q is %s, not the agent %d", r.Fields[2], r.Fields[1], s.cmd.Process.Pid)
		}
	}
	hello, err := s.agent.Hello(t.Context(), &guestv1.HelloRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range hello.Processes {
		if p.ExecId == "" && p.Pid != res.Pid || p.ExecId != "" && p.Pid == res.Pid {
			t.Errorf("hello: %v", p)
		}
	}
}
