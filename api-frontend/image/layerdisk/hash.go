package layerdisk

import (
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/containerd/errdefs"
)

// hashReader digests what passes and stops at a limit.
type hashReader struct {
	r     io.Reader
	h     hash.Hash
	n     int64
	limit int64
	err   error // Of the source.
}

func (h *hashReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.h.Write(p[:n])
	h.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		h.err = err
	}
	if h.n > h.limit {
		return n, fmt.Errorf("layer is larger than %d bytes: %w", h.limit, errdefs.ErrResourceExhausted)
	}
	return n, err
}
