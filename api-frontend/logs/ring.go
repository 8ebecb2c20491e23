package logs

import (
	"sort"

	"github.com/arca-engine/arca/internal/guestwire"
)

const (
	ringSmall = 64 << 10
	ringLarge = 2 << 20
	maxSpans  = 8192
	markEvery = 128 << 10
)

// ring holds the latest output of a run for its subscribers, who read at own cursors. All of it is under Log.mu. It
// begins small and grows when somebody falls behind.
type ring struct {
	buf        []byte
	tail, head uint64 // sequence numbers: bytes of both streams in the order of arrival.
	spans      []span // contiguous from tail to head.
	marks      []mark // places in the file, the first not after tail.
}

// span is a stretch of one stream.
type span struct {
	seq    uint64
	stream guestwire.Stream
	offset uint64
	n      uint64
}

func newRing(at mark) *ring {
	at.seq = 0
	return &ring{buf: make([]byte, ringSmall), marks: []mark{at}}
}

// grow makes room for more history.
func (r *ring) grow() {
	old := *r
	r.buf = make([]byte, min(4*len(old.buf), ringLarge))
	for seq := r.tail; seq < r.head; {
		b := old.at(seq, r.head-seq)
		copy(r.slot(seq), b)
		n := min(len(b), len(r.slot(seq)))
		seq += uint64(n)
	}
}

// slot is the memory from seq to the end of the buffer.
func (r *ring) slot(seq uint64) []byte { return r.buf[seq%uint64(len(r.buf)):] }

// at returns up to n bytes that begin at seq, as far as they are contiguous in memory.
func (r *ring) at(seq, n uint64) []byte {
	b := r.slot(seq)
	return b[:min(uint64(len(b)), n)]
}

// find is the index of the span that holds seq.
func (r *ring) find(seq uint64) int {
	return sort.Search(len(r.spans), func(i int) bool { return r.spans[i].seq+r.spans[i].n > seq })
}

// write appends data, which is no longer than the ring; what it overwrites is gone.
func (r *ring) write(s guestwire.Stream, offset uint64, data []byte) {
	r.tail = r.tailAfter(uint64(len(data)))
	for b := data; len(b) > 0; {
		n := copy(r.slot(r.head+uint64(len(data)-len(b))), b)
		b = b[n:]
	}
	n := uint64(len(data))
	if k := len(r.spans) - 1; k >= 0 && r.spans[k].stream == s && r.spans[k].offset+r.spans[k].n == offset {
		r.spans[k].n += n
	} else {
		r.spans = append(r.spans, span{r.head, s, offset, n})
	}
	r.head += n
	r.trim()
}

// tailAfter is the tail that writing n more bytes leaves.
func (r *ring) tailAfter(n uint64) uint64 {
	tail := r.tail
	if r.head+n > tail+uint64(len(r.buf)) {
		tail = r.head + n - uint64(len(r.buf))
	}
	if len(r.spans) >= maxSpans {
		tail = max(tail, r.spans[len(r.spans)-maxSpans/2].seq)
	}
	return tail
}

// trim forgets the spans and marks before the tail.
func (r *ring) trim() {
	if i := r.find(r.tail); i > 0 {
		r.spans = r.spans[:copy(r.spans, r.spans[i:])]
	}
	i := 0
	for i+1 < len(r.marks) && r.marks[i+1].seq <= r.tail {
		i++
	}
	if i > 0 {
		r.marks = r.marks[:copy(r.marks, r.marks[i:])]
	}
}

// mark remembers where in the file the next bytes can be found.
func (r *ring) mark(m mark) {
	if last := r.marks[len(r.marks)-1]; r.head-last.seq < markEvery && last.gen == m.gen && r.head > 0 {
		return
	}
	m.seq = r.head
	r.marks = append(r.marks, m)
}

// before is the last mark that is not after seq.
func (r *ring) before(seq uint64) mark {
	i := sort.Search(len(r.marks), func(i int) bool { return r.marks[i].seq > seq })
	return r.marks[max(i-1, 0)]
}
