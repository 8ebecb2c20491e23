package runtime

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// clockTick is the unit of cpuacct.stat in nanoseconds: USER_HZ is 100 on every Linux that runs Go.
const clockTick = 10_000_000

// Stats measures a container's control groups. What a hierarchy does not tell stays zero.
func (r *Runtime) Stats(path string) container.StatsResponse {
	var s container.StatsResponse
	if unified() {
		statsUnified(&s, Group("", path))
	} else {
		statsV1(&s, path)
	}
	if total := machineMemory(); total > 0 && (s.MemoryStats.Limit == 0 || s.MemoryStats.Limit > total) {
		s.MemoryStats.Limit = total
	}
	return s
}

func statsUnified(s *container.StatsResponse, dir string) {
	cpu, _ := KeyValues(filepath.Join(dir, "cpu.stat"))
	s.CPUStats.CPUUsage = container.CPUUsage{TotalUsage: cpu["usage_usec"] * 1000, UsageInKernelmode: cpu["system_usec"] * 1000, UsageInUsermode: cpu["user_usec"] * 1000}
	s.CPUStats.ThrottlingData = container.ThrottlingData{Periods: cpu["nr_periods"], ThrottledPeriods: cpu["nr_throttled"], ThrottledTime: cpu["throttled_usec"] * 1000}
	s.MemoryStats.Usage = number(dir, "memory.current")
	s.MemoryStats.Limit = number(dir, "memory.max")
	s.MemoryStats.Stats, _ = KeyValues(filepath.Join(dir, "memory.stat"))
	events, _ := KeyValues(filepath.Join(dir, "memory.events"))
	s.MemoryStats.Failcnt = events["oom"]
	s.PidsStats = container.PidsStats{Current: number(dir, "pids.current"), Limit: limit(dir, "pids.max")}
	lines(filepath.Join(dir, "io.stat"), func(f []string) {
		major, minor, ok := device(f[0])
		if !ok {
			return
		}
		for _, kv := range f[1:] {
			k, v, _ := strings.Cut(kv, "=")
			n, _ := strconv.ParseUint(v, 10, 64)
			switch k {
			case "rbytes", "wbytes":
				s.BlkioStats.IoServiceBytesRecursive = append(s.BlkioStats.IoServiceBytesRecursive, container.BlkioStatEntry{Major: major, Minor: minor, Op: ioName(k), Value: n})
			case "rios", "wios":
				s.BlkioStats.IoServicedRecursive = append(s.BlkioStats.IoServicedRecursive, container.BlkioStatEntry{Major: major, Minor: minor, Op: ioName(k), Value: n})
			}
		}
	})
}

func ioName(key string) string {
	if key[0] == 'r' {
		return "read"
	}
	return "write"
}

func statsV1(s *container.StatsResponse, path string) {
	acct, cpu, mem, pids, blk := Group("cpuacct", path), Group("cpu", path), Group("memory", path), Group("pids", path), Group("blkio", path)
	times, _ := KeyValues(filepath.Join(acct, "cpuacct.stat"))
	s.CPUStats.CPUUsage = container.CPUUsage{TotalUsage: number(acct, "cpuacct.usage"), UsageInKernelmode: times["system"] * clockTick, UsageInUsermode: times["user"] * clockTick}
	lines(filepath.Join(acct, "cpuacct.usage_percpu"), func(f []string) {
		for _, v := range f {
			n, _ := strconv.ParseUint(v, 10, 64)
			s.CPUStats.CPUUsage.PercpuUsage = append(s.CPUStats.CPUUsage.PercpuUsage, n)
		}
	})
	throttle, _ := KeyValues(filepath.Join(cpu, "cpu.stat"))
	s.CPUStats.ThrottlingData = container.ThrottlingData{Periods: throttle["nr_periods"], ThrottledPeriods: throttle["nr_throttled"], ThrottledTime: throttle["throttled_time"]}
	s.MemoryStats.Usage = number(mem, "memory.usage_in_bytes")
	s.MemoryStats.MaxUsage = number(mem, "memory.max_usage_in_bytes")
	s.MemoryStats.Limit = number(mem, "memory.limit_in_bytes")
	s.MemoryStats.Failcnt = number(mem, "memory.failcnt")
	s.MemoryStats.Stats, _ = KeyValues(filepath.Join(mem, "memory.stat"))
	s.PidsStats = container.PidsStats{Current: number(pids, "pids.current"), Limit: number(pids, "pids.max")}
	for file, list := range map[string]*[]container.BlkioStatEntry{
		"blkio.throttle.io_service_bytes_recursive": &s.BlkioStats.IoServiceBytesRecursive,
		"blkio.throttle.io_serviced_recursive":      &s.BlkioStats.IoServicedRecursive,
	} {
		lines(filepath.Join(blk, file), func(f []string) {
			if len(f) != 3 {
				return
			}
			if major, minor, ok := device(f[0]); ok {
				n, _ := strconv.ParseUint(f[2], 10, 64)
				*list = append(*list, container.BlkioStatEntry{Major: major, Minor: minor, Op: strings.ToLower(f[1]), Value: n})
			}
		})
	}
}

// number reads a file of one number; "max", and what cannot be read, is 0.
func number(dir, file string) uint64 {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}

// limit is number, but "max" is the greatest: what Docker shows for version 2.
func limit(dir, file string) uint64 {
	if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil && strings.TrimSpace(string(b)) == "max" {
		return math.MaxUint64
	}
	return number(dir, file)
}

func lines(path string, f func(fields []string)) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	for s := bufio.NewScanner(file); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 0 {
			f(fields)
		}
	}
}

func device(s string) (major, minor uint64, ok bool) {
	a, b, ok := strings.Cut(s, ":")
	major, err1 := strconv.ParseUint(a, 10, 64)
	minor, err2 := strconv.ParseUint(b, 10, 64)
	return major, minor, ok && err1 == nil && err2 == nil
}

func machineMemory() (total uint64) {
	lines("/proc/meminfo", func(f []string) {
		if f[0] == "MemTotal:" && len(f) > 1 {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			total = n * 1024
		}
	})
	return total
}

// SystemCPU is the time that the machine's processors have been counted for, in nanoseconds, as dockerd adds it up.
func SystemCPU() (total uint64, online uint32) {
	lines("/proc/stat", func(f []string) {
		if f[0] == "cpu" && len(f) >= 8 {
			for _, v := range f[1:8] {
				n, _ := strconv.ParseUint(v, 10, 64)
				total += n * clockTick
			}
		} else if strings.HasPrefix(f[0], "cpu") {
			online++
		}
	})
	return total, online
}

// Networks reads the counters of the interfaces of a process's network namespace, the loopback excepted.
func Networks(pid int) map[string]container.NetworkStats {
	out := map[string]container.NetworkStats{}
	lines(filepath.Join("/proc", strconv.Itoa(pid), "net/dev"), func(f []string) {
		name, first, ok := strings.Cut(strings.Join(f, " "), ":")
		n := strings.Fields(first)
		if !ok || name == "lo" || len(n) < 12 {
			return
		}
		v := make([]uint64, len(n))
		for i := range n {
			v[i], _ = strconv.ParseUint(n[i], 10, 64)
		}
		out[name] = container.NetworkStats{RxBytes: v[0], RxPackets: v[1], RxErrors: v[2], RxDropped: v[3], TxBytes: v[8], TxPackets: v[9], TxErrors: v[10], TxDropped: v[11]}
	})
	return out
}

// PIDs lists the processes of a container, those in groups of its own making included.
func PIDs(path string) []int {
	dir := Group("pids", path)
	if _, err := os.Stat(dir); err != nil {
		if groups := Groups(path); len(groups) > 0 {
			dir = groups[0]
		}
	}
	var out []int
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error { // What goes meanwhile has no processes.
		if err == nil && d.IsDir() {
			lines(filepath.Join(p, "cgroup.procs"), func(f []string) {
				if n, err := strconv.Atoi(f[0]); err == nil && n > 0 {
					out = append(out, n)
				}
			})
		}
		return nil
	})
	return out
}
