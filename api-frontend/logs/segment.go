package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// segment is one file of the log, named by its generation: each rotation begins the next one. Its descriptor is
// shared by all readers and closed with the last reference.
type segment struct {
	gen  int64
	f    *os.File
	size int64 // of whole records written; grows under Log.mu while the segment is the current one.
	refs int   // under Log.mu.
}

// unref gives a reference back. It is called with Log.mu held; closing a descriptor that was only read from, or
// whose every write was checked, has no error worth telling.
func (s *segment) unref() {
	if s.refs--; s.refs == 0 {
		_ = s.f.Close()
	}
}

// names of the files by their age: 0 is the current one.
func (l *Log) name(age int64) string {
	if age == 0 {
		return l.path
	}
	return l.path + "." + strconv.FormatInt(age, 10)
}

const (
	gzipSuffix = ".gz"
	tempSuffix = ".tmp"
)

// createNext opens the file that will become current; it takes its name when it holds its first record, so that
// at no moment the log is without a position.
func (l *Log) createNext() (*os.File, error) {
	f, err := os.OpenFile(l.path+tempSuffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("create log file: %w", err)
	}
	return f, nil
}

// shift renames every file to its next age, drops the oldest, and puts the new one in place. Called with fsmu held.
func (l *Log) shift() error {
	if l.set.maxFile > 1 {
		oldest := int64(l.set.maxFile - 1)
		for _, suffix := range []string{"", gzipSuffix} {
			if err := os.Remove(l.name(oldest) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove oldest log file: %w", err)
			}
		}
		for age := min(oldest, l.ages+1) - 1; age >= 0; age-- {
			for _, suffix := range []string{"", gzipSuffix} {
				if age == 0 && suffix != "" {
					continue
				}
				err := os.Rename(l.name(age)+suffix, l.name(age+1)+suffix)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("rotate log file: %w", err)
				}
			}
		}
		l.ages = min(l.ages+1, oldest)
	}
	if err := os.Rename(l.path+tempSuffix, l.path); err != nil {
		return fmt.Errorf("rotate log file: %w", err)
	}
	return nil
}

// findAges learns how old the oldest rotated file is. A crash in the middle of a rotation may have left a gap.
func (l *Log) findAges() error {
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil {
		return fmt.Errorf("list log files: %w", err)
	}
	l.ages = 0
	prefix := filepath.Base(l.path) + "."
	for _, e := range entries {
		number, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), gzipSuffix), prefix)
		age, err := strconv.ParseInt(number, 10, 64)
		if ok && err == nil && age > l.ages && age < int64(l.set.maxFile) {
			l.ages = age
		}
	}
	return nil
}
