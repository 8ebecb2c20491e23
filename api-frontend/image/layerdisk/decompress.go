package layerdisk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	magicGzip = []byte{0x1f, 0x8b}
	magicZstd = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicBzip = []byte("BZh")
	magicXZ   = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
)

// zstdWindow bounds the memory that a zstd frame may ask for.
const zstdWindow = 128 << 20

// Decompress returns the plain stream of r, which is gzip, zstd or plain by its first bytes. It never runs a program.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	head, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read layer: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, magicGzip):
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		return zr, nil
	case bytes.HasPrefix(head, magicZstd):
		zr, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		return zr.IOReadCloser(), nil
	case bytes.HasPrefix(head, magicBzip), bytes.HasPrefix(head, magicXZ):
		return nil, errdefs.ErrInvalidArgument.WithMessage("unsupported compression: gzip, zstd and plain tar are read")
	default:
		return io.NopCloser(br), nil
	}
}
