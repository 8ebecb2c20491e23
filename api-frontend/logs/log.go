package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/guestwire"
)

// Log is the log of one container. StartRun, Append and EndRun come from one owner; everything else may be called from
// anywhere at any time.
type Log struct {
	driver string
	path   string
	set    settings
	codec  codec // nil for the driver none.

	wmu    sync.Mutex // the writer; held over writes, never by a reader.
	enc    encoder
	closed bool

	fsmu sync.RWMutex // the names of the files.
	ages int64        // how many rotated files there are.

	compressing sync.WaitGroup
	compressor  chan struct{} // one at a time.

	mu       sync.Mutex // what readers see; never held over a read or write.
	cur      *segment
	kept     []*segment // rotated segments that a reader still has before it.
	written  position   // what is in the file.
	pending  [3][]byte  // what was taken of the lines that have no end yet, by stream.
	live     [3]uint64  // what subscribers were given, by stream.
	run      *run       // the last that was started.
	subs     map[*Subscription]struct{}
	readers  map[*fileReader]struct{}
	changed  chan struct{} // closed and replaced when something was written or ended, if anybody waits.
	space    chan struct{} // a subscriber moved on: for the driver none.
	shut     bool
	released bool // the current segment, after the end.
}

// run is one life of the container's process.
type run struct {
	number uint64
	ended  bool
	end    mark // where its output ends; valid when ended.
	ring   *ring
	subs   int
}

// mark is a place in the log: a file, an offset in it, and what of the run lies before.
type mark struct {
	seq uint64 // in the ring.
	gen int64
	off int64
	pos position
}

// Open opens the log of a container, makes it when there is none, and repairs what a crash left behind.
func Open(c Config) (*Log, error) {
	if err := Validate(c.Driver, c.Options); err != nil {
		return nil, err
	}
	l := &Log{
		driver:     c.Driver,
		subs:       make(map[*Subscription]struct{}),
		readers:    make(map[*fileReader]struct{}),
		space:      make(chan struct{}, 1),
		compressor: make(chan struct{}, 1),
	}
	if c.Driver == None {
		return l, nil
	}
	var err error
	if l.set, err = parseSettings(c.Driver, c.Options); err != nil {
		return nil, err
	}
	attrs, err := attributes(c)
	if err != nil {
		return nil, err
	}
	if len(attrs) > maxAttrs {
		return nil, invalid("log attributes are larger than 1 MiB")
	}
	if c.Driver == Local {
		dir := filepath.Join(c.Dir, "local-logs")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("create log directory: %w", err)
		}
		l.path, l.codec = filepath.Join(dir, "container.log"), &binaryCodec{attrs: attrs}
	} else {
		l.path, l.codec = filepath.Join(c.Dir, c.ContainerID+"-json.log"), newJSONCodec(attrs)
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	l.enc.reset(l.written)
	l.enc.size = l.cur.size
	l.compress()
	return l, nil
}

// Path is the file that inspect shows as LogPath: json-file alone has one.
func (l *Log) Path() string {
	if l.driver != JSONFile {
		return ""
	}
	return l.path
}

// Driver is the name of the driver.
func (l *Log) Driver() string { return l.driver }

// Offsets tells the last run and how much of its output is in the log: from there the agent sends again. Before the
// first StartRun they are what an earlier process left.
func (l *Log) Offsets() (run, stdout, stderr uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.run, l.written.stdout, l.written.stderr
}

// StartRun begins the run with this number, or takes it up again after a restart of this process. Subscribers that came
// before it are subscribed to it.
func (l *Log) StartRun(number uint64) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed {
		return errClosed
	}
	if err := l.endRunLocked(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written.run != number {
		l.written = position{run: number}
	}
	l.enc.reset(l.written)
	l.pending[guestwire.Stdout], l.pending[guestwire.Stderr] = nil, nil
	l.live = [3]uint64{guestwire.Stdout: l.written.stdout, guestwire.Stderr: l.written.stderr}
	l.run = &run{number: number}
	for s := range l.subs {
		if s.run == nil && s.next == nil {
			l.joinLocked(s)
		}
	}
	l.notifyLocked()
	return nil
}

// EndRun ends the run: lines without a newline go to the log as they are, and readers end when they have read all.
func (l *Log) EndRun() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed {
		return errClosed
	}
	return l.endRunLocked()
}

// endRunLocked is called with wmu held.
func (l *Log) endRunLocked() error {
	if !l.active() {
		return nil
	}
	err := l.finishLocked()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked()
	return err
}

// endLocked tells everybody that nothing more comes from the run.
func (l *Log) endLocked() {
	l.run.ended = true
	l.run.end = l.hereLocked()
	l.notifyLocked()
}

func (l *Log) active() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.run != nil && !l.run.ended
}

// hereLocked is the end of the log.
func (l *Log) hereLocked() mark {
	m := mark{pos: l.written}
	if l.cur != nil {
		m.gen, m.off = l.cur.gen, l.cur.size
	}
	return m
}

// waitLocked returns a channel that is closed at the next change.
func (l *Log) waitLocked() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

func (l *Log) notifyLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	for s := range l.subs {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

var errClosed = fmt.Errorf("log is closed: %w", errdefs.ErrFailedPrecondition)

// Close ends the run, if there is one, waits for what compresses and closes the files. Readers and subscribers end
// when they have read what there is.
func (l *Log) Close() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed {
		return nil
	}
	err := l.endRunLocked()
	return errors.Join(err, l.closeLocked())
}

// Abandon closes the log as a crash would: what has no newline yet is not written, and the run goes on when the log is
// opened again. For the end of this process, which is not the end of the container's.
func (l *Log) Abandon() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed {
		return nil
	}
	return l.closeLocked()
}

func (l *Log) closeLocked() error {
	l.closed = true
	l.mu.Lock()
	l.shut = true
	l.mu.Unlock()
	l.compressing.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run != nil && !l.run.ended {
		l.endLocked()
	}
	l.notifyLocked()
	l.pruneLocked()
	return l.enc.drop()
}

// Remove closes the log and deletes its files.
func (l *Log) Remove() error {
	if err := l.Close(); err != nil {
		return err
	}
	if l.codec == nil {
		return nil
	}
	l.fsmu.Lock()
	defer l.fsmu.Unlock()
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("list log files: %w", err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(l.path) && !strings.HasPrefix(e.Name(), filepath.Base(l.path)+".") {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(l.path), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove log file: %w", err)
		}
	}
	return nil
}
