package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// open opens the current file, cuts its torn tail and learns the position. Only a crash during a rotation leaves
// the position to an older file.
func (l *Log) open() error {
	if err := os.Remove(l.path + tempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove unfinished log file: %w", err)
	}
	if err := os.Remove(l.path + gzipSuffix + tempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove unfinished log file: %w", err)
	}
	if err := l.findAges(); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("open log file: %w", err)
	}
	end, pos, found, err := l.scanTail(f, st.Size())
	if err == nil && end < st.Size() {
		err = f.Truncate(end)
	}
	if err == nil && !found {
		pos, err = l.olderPosition()
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("recover log file: %w", err)
	}
	l.cur = &segment{f: f, size: end, refs: 1}
	l.written = pos
	return nil
}

// olderPosition looks into the rotated files for the last position.
func (l *Log) olderPosition() (position, error) {
	for age := int64(1); age <= l.ages; age++ {
		f, err := os.Open(l.name(age))
		if err == nil {
			st, err := f.Stat()
			if err != nil {
				_ = f.Close()
				return position{}, err
			}
			_, pos, found, err := l.scanTail(f, st.Size())
			_ = f.Close()
			if err != nil || found {
				return pos, err
			}
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return position{}, err
		}
		pos, found, err := scanGzip(l.codec, l.name(age)+gzipSuffix)
		if err != nil || found {
			return pos, err
		}
	}
	return position{}, nil
}

// scanTail finds the end of the last whole record and the position there. It looks at ever larger ends of the file
// until one holds a position; a binary file has no place to begin but its start.
func (l *Log) scanTail(f io.ReaderAt, size int64) (end int64, pos position, found bool, err error) {
	for back := int64(64 << 10); ; back *= 8 {
		start := size - back
		if _, lines := l.codec.(*jsonCodec); start < 0 || !lines {
			start = 0
		}
		s := scanner{codec: l.codec}
		if err := s.run(io.NewSectionReader(f, start, size-start), start > 0); err != nil {
			return 0, position{}, false, err
		}
		if s.found || start == 0 {
			return start + s.end, s.pos, s.found, nil
		}
	}
}

// scanner walks records and keeps the position.
type scanner struct {
	codec codec
	end   int64 // of the last whole record, from where the reader began.
	pos   position
	found bool
	count int64
	nano  int64 // of the last record.
	rec   record
}

func (s *scanner) run(r io.Reader, skipFirst bool) error {
	buf := make([]byte, 0, 256<<10)
	var data []byte
	var base int64 // of buf[0].
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		at := 0
		for at < len(buf) {
			rec := &s.rec
			out, k, ok := s.codec.next(buf[at:], data[:0], rec, true)
			if k == 0 {
				break
			}
			data = out
			at += k
			if skipFirst { // it may have begun before r did.
				skipFirst = false
				continue
			}
			if !ok {
				continue
			}
			s.count++
			s.nano = rec.nano
			s.end = base + int64(at)
			if rec.hasPos {
				s.pos, s.found = rec.pos, true
			} else if s.found {
				*s.pos.offset(rec.stream) += uint64(len(out))
			}
		}
		base += int64(at)
		buf = buf[:copy(buf, buf[at:])]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(buf) > maxForeign {
			base += int64(len(buf))
			buf = buf[:0] // no record is that long: what it began is skipped.
			skipFirst = true
		}
	}
}

// maxForeign bounds a line that somebody else wrote.
const maxForeign = 4 << 20
