package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// Log is a file that a daemon writes to, bounded: at MaxBytes it becomes FILE.1, FILE.1 becomes FILE.2, and so on
// up to Keep old files.
type Log struct {
	Path     string
	MaxBytes int64
	Keep     int

	mu struct {
		sync.Mutex
		file *os.File
		size int64
	}
}

// NewLog tells a log of at most about 40 MB in all.
func NewLog(path string) *Log { return &Log{Path: path, MaxBytes: 10 << 20, Keep: 3} }

// Write appends p whole; a line is never torn between two files.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.file != nil && l.mu.size+int64(len(p)) > l.MaxBytes {
		if err := l.rotateLocked(); err != nil {
			return 0, err
		}
	}
	if l.mu.file == nil {
		if err := l.openLocked(); err != nil {
			return 0, err
		}
	}
	n, err := l.mu.file.Write(p)
	l.mu.size += int64(n)
	return n, err
}

// Printf writes a line of the supervisor's own.
func (l *Log) Printf(format string, args ...any) {
	line := time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + " [INFO]  supervise: " + fmt.Sprintf(format, args...) + "\n"
	if _, err := l.Write([]byte(line)); err != nil {
		fmt.Fprintln(os.Stderr, line, err)
	}
}

// Close closes the file; a later write opens it again.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeLocked()
}

func (l *Log) closeLocked() error {
	if l.mu.file == nil {
		return nil
	}
	err := l.mu.file.Close()
	l.mu.file, l.mu.size = nil, 0
	return err
}

func (l *Log) openLocked() error {
	f, err := os.OpenFile(l.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	l.mu.file, l.mu.size = f, info.Size()
	return nil
}

func (l *Log) rotateLocked() error {
	if err := l.closeLocked(); err != nil {
		return err
	}
	for i := l.Keep; i >= 1; i-- {
		from := l.Path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", l.Path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", l.Path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate log: %w", err)
		}
	}
	return l.openLocked()
}

// Touch makes the file if it is absent.
func (l *Log) Touch() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.openLocked(); err != nil {
		return err
	}
	return l.closeLocked()
}
