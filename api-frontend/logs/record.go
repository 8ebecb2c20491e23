package logs

import "github.com/arca-engine/arca/internal/guestwire"

// maxRecord bounds the bytes of one record; a longer line is split, as Docker's copier does.
const maxRecord = 16 << 10

// position tells how much of a run is in the log.
type position struct{ run, stdout, stderr uint64 }

func (p *position) offset(s guestwire.Stream) *uint64 {
	if s == guestwire.Stderr {
		return &p.stderr
	}
	return &p.stdout
}

// record is one line, or a part of one, with its newline where it has one.
type record struct {
	stream guestwire.Stream
	nano   int64
	attrs  []byte // a JSON object, or nothing.
	hasPos bool
	pos    position // after this record.
}

// codec is a format of log files. Its methods keep no state between calls except caches.
type codec interface {
	// encode appends a record without a position.
	encode(dst []byte, s guestwire.Stream, nano int64, data []byte) []byte
	// seal adds a position to the record that starts at dst[start] and ends dst.
	seal(dst []byte, start int, p position) []byte
	// next decodes the record at the start of b and appends its data to dst. It consumes n bytes; n is 0 when
	// b holds no whole record. ok is false for bytes that are no record and are to be skipped.
	next(b, dst []byte, r *record, needTime bool) (out []byte, n int, ok bool)
	// maxEncoded bounds a record in the file.
	maxEncoded() int
	// tail finds where the last n records of f begin, and how many there are up to n.
	tail(f readerAt, size int64, n int) (start int64, found int, err error)
}

type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
}
