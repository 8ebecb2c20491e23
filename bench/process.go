package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
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
			return 0, err
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
