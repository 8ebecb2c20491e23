package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// figure is one thing that is measured of each engine.
type figure struct {
	name string
	unit string
	// more: a greater value is the better one.
	more bool
	// rounds: how often the engines take turns; the median counts.
	rounds int
	// fills is how many bytes of page cache it fills.
	fills   int64
	prepare func(ctx context.Context, e *engine) error
	measure func(ctx context.Context, e *engine) (float64, error)
	clean   func(ctx context.Context, e *engine) error
}

// row is a figure, taken.
type row struct {
	figure
	values [2]float64
	load   string
	err    error
}

// take measures a figure of both engines in turns, so that what else the machine does hits both.
func take(ctx context.Context, f figure, engines [2]*engine) row {
	r := row{figure: f}
	var values [2][]float64
	r.err = func() error {
		for _, e := range engines {
			if f.prepare != nil {
				if err := f.prepare(ctx, e); err != nil {
					return err
				}
			}
		}
		r.load = load()
		for range max(f.rounds, 1) {
			for i, e := range engines {
				if err := backed(f.fills); err != nil {
					return err
				}
				v, err := f.measure(ctx, e)
				if err != nil {
					return err
				}
				values[i] = append(values[i], v)
			}
		}
		return nil
	}()
	for i, e := range engines {
		if f.clean != nil {
			if err := f.clean(context.WithoutCancel(ctx), e); err != nil && r.err == nil {
				r.err = err
			}
		}
		r.values[i] = median(values[i])
	}
	return r
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(b))[0]
}

// ratio tells how many times better the first engine is.
func (r row) ratio() string {
	if r.err != nil || r.values[0] == 0 || r.values[1] == 0 {
		return "-"
	}
	if r.more {
		return fmt.Sprintf("%.2f", r.values[0]/r.values[1])
	}
	return fmt.Sprintf("%.2f", r.values[1]/r.values[0])
}

// milliseconds times f.
func milliseconds(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return float64(time.Since(start).Microseconds()) / 1000, err
}

// perSecond tells how many MB of n bytes f moves per second.
func perSecond(n int64, f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return float64(n) / 1e6 / time.Since(start).Seconds(), err
}

// backed lets the hypervisor back n bytes of free memory before a measurement that fills the page cache: pages that it
// has to find first cost more than all else, and whoever is measured first would pay for both.
func backed(n int64) (err error) {
	if n == 0 {
		return nil
	}
	f, err := os.CreateTemp("/var/tmp", "arca-bench-memory-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, mib)
	for range (n + mib - 1) / mib {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}
