package ps

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const hertz = 100 // USER_HZ.

// machine is what processes are measured against.
type machine struct {
	booted time.Time
	now    time.Time
	memory uint64 // bytes.
	number func(pid int) int
}

// process is what /proc says of one process.
type process struct {
	pid, ppid, pgrp, session int
	state                    string
	tty                      uint64
	ticks                    uint64 // of processor time.
	started                  time.Time
	priority, nice           int
	threads                  int
	virtual                  uint64 // bytes.
	resident                 uint64
	uid, gid                 int
	comm, args               string
	foreground               bool
}

func thisMachine() *machine {
	m := &machine{now: time.Now()}
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) == nil {
		m.booted = m.now.Add(-time.Duration(up.Nano()))
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.memory = uint64(info.Totalram) * uint64(info.Unit)
	}
	return m
}

// read reads one process; one that has gone is an error.
func read(proc string, pid int, m *machine) (*process, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return nil, err
	}
	// The name is in parentheses and may hold anything: the last parenthesis ends it.
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return nil, fmt.Errorf("process %d: malformed stat", pid)
	}
	p := &process{pid: pid, comm: clean(string(b[open+1 : end]))}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 22 {
		return nil, fmt.Errorf("process %d: short stat", pid)
	}
	number := func(i int) uint64 {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		return uint64(n)
	}
	p.state, p.ppid, p.pgrp, p.session, p.tty = f[0], int(number(1)), int(number(2)), int(number(3)), number(4)
	p.foreground = int(int64(number(5))) == p.pgrp
	p.ticks = number(11) + number(12)
	p.priority, p.nice, p.threads = int(int64(number(15))), int(int64(number(16))), int(number(17))
	p.started = m.booted.Add(time.Duration(number(19)) * time.Second / hertz)
	p.virtual, p.resident = number(20), number(21)*uint64(os.Getpagesize())
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, err
	}
	p.uid, p.gid = int(st.Uid), int(st.Gid)
	args, err := readSome(filepath.Join(dir, "cmdline"))
	if err != nil {
		return nil, err
	}
	p.args = clean(strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " "))
	if p.args == "" {
		p.args = "[" + p.comm + "]"
	}
	return p, nil
}

// maxArgs bounds what is shown of a command line: a process may make its own as long as it likes.
const maxArgs = 32 << 10

func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxArgs))
}

// clean makes a text of a process fit for one line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
