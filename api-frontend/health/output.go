package health

import (
	"bytes"
	"sync"
)

// output keeps the first maxOutput bytes of what a probe writes.
type output struct {
	mu        sync.Mutex
	buf       bytes.Buffer
	truncated bool
}

// Write implements io.Writer; it never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keep := min(maxOutput-o.buf.Len(), len(p))
	o.buf.Write(p[:keep])
	o.truncated = o.truncated || keep < len(p)
	return len(p), nil
}

// String is what was kept, with "..." when more was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.truncated {
		return o.buf.String() + "..."
	}
	return o.buf.String()
}
