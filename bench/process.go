package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rss tells the resident memory of processes, in MB.
func rss(ctx context.Context, pids []int) (float64, error) {
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	total := 0.0
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				if err != nil {
					return 0, err
				}
				total += kb * 1024 / 1e6
			}
		}
	}
	return total, nil
}

// cpu tells what share of one CPU processes take while nobody asks anything.
func cpu(ctx context.Context, pids []int) (float64, error) {
	before, err := ticks(pids)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := pause(ctx, 2*settle); err != nil {
		return 0, err
	}
	after, err := ticks(pids)
	const perSecond = 100 // USER_HZ
	return 100 * (after - before) / perSecond / time.Since(start).Seconds(), err
}

func ticks(pids []int) (float64, error) {
	total := 0.0
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		for _, field := range f[11:13] { // utime and stime
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// all tells every process of an engine: those whose command line names its directory, and all that descend from them.
// Their registries and command lines are left out.
func (e *engine) all() []int {
	mine := map[int]bool{}
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if parents[pid], err = strconv.Atoi(fields[1]); err != nil {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		program, _, _ := bytes.Cut(line, []byte{0})
		mine[pid] = err == nil && bytes.Contains(line, []byte(e.dir)) && !bytes.HasSuffix(program, []byte("unshare"))
	}
	var pids []int
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if mine[p] {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// proportional tells the memory of processes in MB, what they share counted once.
func proportional(pids []int) (float64, error) {
	total := 0.0
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				if err != nil {
					return 0, err
				}
				total += kb * 1024 / 1e6
			}
		}
	}
	return total, nil
}
