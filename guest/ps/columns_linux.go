package ps

import (
	"fmt"
	"strconv"
	"time"
)

func itoa[T int | uint64](n T) string { return fmt.Sprint(n) }

var keywords = map[string]column{}

func init() {
	add := func(title string, value func(*process, *machine) string, names ...string) {
		for _, n := range names {
			keywords[n] = column{title, value}
		}
	}
	add("PID", func(p *process, m *machine) string { return itoa(m.number(p.pid)) }, "pid", "tgid")
	add("PPID", func(p *process, m *machine) string { return itoa(m.number(p.ppid)) }, "ppid")
	add("PGID", func(p *process, m *machine) string { return itoa(m.number(p.pgrp)) }, "pgid", "pgrp")
	add("SID", func(p *process, m *machine) string { return itoa(m.number(p.session)) }, "sid", "sess", "session")
	add("USER", func(p *process, _ *machine) string { return account(p.uid) }, "user", "euser", "uname", "ruser")
	add("UID", func(p *process, _ *machine) string { return itoa(p.uid) }, "uid", "euid", "ruid")
	add("GID", func(p *process, _ *machine) string { return itoa(p.gid) }, "gid", "egid", "rgid")
	add("GROUP", func(p *process, _ *machine) string { return account(p.gid) }, "group", "egroup", "rgroup")
	add("C", func(p *process, m *machine) string { return itoa(min(int(p.percent(m)), 99)) }, "c")
	add("%CPU", func(p *process, m *machine) string { return fmt.Sprintf("%.1f", p.percent(m)) }, "%cpu", "pcpu")
	add("%MEM", func(p *process, m *machine) string {
		if m.memory == 0 {
			return "0.0"
		}
		return fmt.Sprintf("%.1f", float64(p.resident)*100/float64(m.memory))
	}, "%mem", "pmem")
	add("VSZ", func(p *process, _ *machine) string { return itoa(p.virtual / 1024) }, "vsz", "vsize")
	add("RSS", func(p *process, _ *machine) string { return itoa(p.resident / 1024) }, "rss", "rssize", "rsz")
	add("TTY", func(p *process, _ *machine) string { return p.terminal() }, "tty", "tt", "tname")
	add("S", func(p *process, _ *machine) string { return p.state }, "s", "state")
	add("STAT", func(p *process, _ *machine) string { return p.flags() }, "stat")
	add("STIME", func(p *process, m *machine) string { return p.since(m) }, "stime")
	add("START", func(p *process, m *machine) string { return p.since(m) }, "start", "start_time", "bsdstart")
	add("STARTED", func(p *process, _ *machine) string { return p.started.Format(time.ANSIC) }, "lstart")
	add("TIME", func(p *process, _ *machine) string { return clock(p.ticks / hertz) }, "time", "cputime")
	add("TIME", func(p *process, _ *machine) string {
		s := p.ticks / hertz
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}, "bsdtime")
	add("ELAPSED", func(p *process, m *machine) string { return elapsed(p.age(m)) }, "etime")
	add("ELAPSED", func(p *process, m *machine) string { return itoa(uint64(p.age(m).Seconds())) }, "etimes")
	add("PRI", func(p *process, _ *machine) string { return itoa(39 - p.priority) }, "pri")
	add("NI", func(p *process, _ *machine) string { return itoa(p.nice) }, "ni", "nice")
	add("NLWP", func(p *process, _ *machine) string { return itoa(p.threads) }, "nlwp", "thcount")
	add("COMMAND", func(p *process, _ *machine) string { return p.comm }, "comm", "ucmd", "ucomm")
	add("CMD", func(p *process, _ *machine) string { return p.args }, "cmd")
	add("COMMAND", func(p *process, _ *machine) string { return p.args }, "args", "command")
}

// account names a user or group: the guest knows root alone.
func account(id int) string {
	if id == 0 {
		return "root"
	}
	return strconv.Itoa(id)
}

func (p *process) age(m *machine) time.Duration { return max(m.now.Sub(p.started), 0) }

func (p *process) percent(m *machine) float64 {
	age := p.age(m).Seconds()
	if age <= 0 {
		return 0
	}
	return float64(p.ticks) / hertz * 100 / age
}

func (p *process) terminal() string {
	major, minor := p.tty>>8&0xfff, p.tty&0xff|p.tty>>12&0xfff00
	switch {
	case p.tty == 0:
		return "?"
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 5 && minor == 1:
		return "console"
	default:
		return "?"
	}
}

func (p *process) flags() string {
	s := p.state
	if p.nice < 0 {
		s += "<"
	} else if p.nice > 0 {
		s += "N"
	}
	if p.session == p.pid {
		s += "s"
	}
	if p.threads > 1 {
		s += "l"
	}
	if p.foreground {
		s += "+"
	}
	return s
}

func (p *process) since(m *machine) string {
	switch {
	case p.started.YearDay() == m.now.YearDay() && p.started.Year() == m.now.Year():
		return p.started.Format("15:04")
	case m.now.Sub(p.started) < 365*24*time.Hour:
		return p.started.Format("Jan02")
	default:
		return p.started.Format("2006")
	}
}

func clock(s uint64) string {
	t := fmt.Sprintf("%02d:%02d:%02d", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		return fmt.Sprintf("%d-%s", days, t)
	}
	return t
}

func elapsed(d time.Duration) string {
	s := uint64(d.Seconds())
	switch {
	case s >= 86400:
		return clock(s)
	case s >= 3600:
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	default:
		return fmt.Sprintf("%02d:%02d", s/60, s%60)
	}
}
