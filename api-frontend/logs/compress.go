package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
)

// gzipMeta is kept in the header of a compressed file: Docker's key, and the number of records for tail.
type gzipMeta struct {
	LastTime time.Time `json:"lastTime,omitzero"`
	Records  int64     `json:"records,omitempty"`
}

// compress starts the one goroutine that compresses rotated files, oldest first, unless it runs. Files that rotate
// away meanwhile are given up; the writer never waits for it.
func (l *Log) compress() {
	if !l.set.compress {
		return
	}
	select {
	case l.compressor <- struct{}{}:
	default:
		return // it looks for further files before it ends.
	}
	l.compressing.Add(1)
	go func() {
		defer l.compressing.Done()
		for l.compressOldest() {
		}
		<-l.compressor
	}()
}

// compressOldest compresses one file and tells whether there may be another. A file that cannot be compressed
// stays as it is, readable: the log has lost nothing.
func (l *Log) compressOldest() bool {
	l.fsmu.RLock()
	l.mu.Lock()
	current, shut := l.cur.gen, l.shut
	l.mu.Unlock()
	var f *os.File
	var gen int64
	for age := l.ages; age > 0 && f == nil && !shut; age-- {
		file, err := os.Open(l.name(age))
		if err == nil {
			f, gen = file, current-age
		}
	}
	l.fsmu.RUnlock()
	if f == nil {
		return false
	}
	defer func() { _ = f.Close() }()
	tmp := l.path + gzipSuffix + tempSuffix
	if err := l.writeGzip(f, tmp); err != nil {
		_ = os.Remove(tmp)
		return false
	}
	l.fsmu.Lock()
	defer l.fsmu.Unlock()
	l.mu.Lock()
	age := l.cur.gen - gen
	l.mu.Unlock()
	if age >= int64(l.set.maxFile) {
		return os.Remove(tmp) == nil
	}
	if err := os.Rename(tmp, l.name(age)+gzipSuffix); err != nil {
		_ = os.Remove(tmp)
		return false
	}
	return os.Remove(l.name(age)) == nil
}

func (l *Log) writeGzip(f *os.File, tmp string) (err error) {
	s := scanner{codec: l.codec}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := s.run(io.NewSectionReader(f, 0, st.Size()), false); err != nil {
		return err
	}
	meta, err := json.Marshal(gzipMeta{time.Unix(0, s.nano).UTC(), s.count})
	if err != nil {
		return err
	}
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	z.Extra = meta
	if _, err := io.Copy(z, io.NewSectionReader(f, 0, st.Size())); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return out.Sync() // the file that it stands for is removed.
}

// openGzip opens a compressed file and reads what its header tells.
func openGzip(name string) (*os.File, *gzip.Reader, gzipMeta, error) {
	var meta gzipMeta
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, meta, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, nil, meta, fmt.Errorf("open %s: %w", name, err)
	}
	if json.Unmarshal(z.Extra, &meta) != nil {
		meta = gzipMeta{} // written by somebody else.
	}
	return f, z, meta, nil
}

// scanGzip looks for the last position of a compressed file. One that is damaged tells what its whole part holds: it
// must not keep its container from starting.
func scanGzip(c codec, name string) (position, bool, error) {
	f, z, _, err := openGzip(name)
	if errors.Is(err, fs.ErrPermission) {
		return position{}, false, err
	}
	if err != nil {
		return position{}, false, nil
	}
	defer func() { _ = f.Close() }()
	s := scanner{codec: c}
	if err := s.run(z, false); err != nil {
		return s.pos, false, nil
	}
	return s.pos, s.found, nil
}
