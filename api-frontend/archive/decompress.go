package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

const (
	// peekSize holds the longest magic number.
	peekSize = 6
	// maxWindow bounds the memory that a compressed stream may ask for.
	maxWindow = 128 << 20
)

// Decompress returns the plain stream of r, which is gzip, bzip2, xz, zstd or plain by its first bytes, and a function
// that gives the memory back.
func Decompress(r io.Reader) (io.Reader, func(), error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(peekSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("read archive: %w", err)
	}
	nothing := func() {}
	is := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case is("\x1f\x8b\x08"):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, malformed("gzip", err)
		}
		return z, nothing, nil
	case is("BZh"):
		return bzip2.NewReader(br), nothing, nil
	case is("\xfd7zXZ\x00"):
		z, err := xz.NewReader(br, maxWindow)
		if err != nil {
			return nil, nil, malformed("xz", err)
		}
		return z, nothing, nil
	case is("\x28\xb5\x2f\xfd"):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, malformed("zstd", err)
		}
		return z, z.Close, nil
	default:
		return br, nothing, nil
	}
}

func malformed(format string, err error) error {
	return fmt.Errorf("decompress %s archive: %w: %w", format, err, errdefs.ErrInvalidArgument)
}
