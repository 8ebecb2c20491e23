package layerdisk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Root is the folder of a disk that holds the layer's content.
const Root = "rootfs"

// Limits bound what a layer may cost.
type Limits struct {
	// Bytes bounds the uncompressed stream; the disk may have twice as many.
	Bytes int64
	// Entries bounds the number of files.
	Entries int
}

// DefaultLimits is generous for real images and stops bombs.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 4 << 20}

// Result tells what a pass over a layer learned.
type Result struct {
	// DiffID is the digest of the uncompressed stream.
	DiffID digest.Digest
	// Size is the sum of the files' sizes: what Docker reports.
	Size int64
	// TarSize is the length of the uncompressed stream.
	TarSize int64
}

// Disk is where a layer's disk is written: a file.
type Disk interface {
	io.ReadWriteSeeker
	Truncate(size int64) error
}

// Source opens the layer's stream (tar: plain, gzip or zstd). It is called twice for the rare layer that has several
// entries of one name.
type Source func() (io.ReadCloser, error)

// Convert reads a layer to its end and writes its disk to out. An error leaves out in an undefined state.
func Convert(ctx context.Context, open Source, out Disk, lim Limits) (Result, error) {
	res, again, err := pass(ctx, open, out, lim, nil)
	if err != nil || len(again) == 0 {
		return res, err
	}
	if err := out.Truncate(0); err != nil {
		return Result{}, fmt.Errorf("empty layer disk: %w", err)
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return Result{}, fmt.Errorf("rewind layer disk: %w", err)
	}
	second, _, err := pass(ctx, open, out, lim, again)
	if err == nil && second.DiffID != res.DiffID {
		err = errdefs.ErrDataLoss.WithMessage("layer changed while it was read")
	}
	return second, err
}

func pass(ctx context.Context, open Source, out Disk, lim Limits, skip map[int]struct{}) (res Result, again map[int]struct{}, err error) {
	src, err := open()
	if err != nil {
		return Result{}, nil, err
	}
	defer func() { err = errors.Join(err, ignoreClosed(src.Close())) }()
	return convert(ctx, src, out, lim, skip)
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func convert(
	ctx context.Context, r io.ReadCloser, out Disk, lim Limits, skip map[int]struct{},
) (res Result, again map[int]struct{}, err error) {
	plain, err := Decompress(r)
	if err != nil {
		return Result{}, nil, err
	}
	ahead := newAhead(ctx, plain)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close()) // Ends a read that waits for bytes which nobody wants any more.
		}
		err = errors.Join(err, ahead.Close())
	}()
	hashed := &hashReader{r: ahead, h: sha256.New(), limit: lim.Bytes}
	rw := newRewriter(hashed, lim)
	rw.skip = skip
	if err := writeDisk(rw, out, lim.Bytes); err != nil {
		return Result{}, nil, fmt.Errorf("make layer disk: %w", classify(hashed, rw.cause(err)))
	}
	// What follows the archive's end belongs to the digest too.
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return Result{}, nil, fmt.Errorf("read layer's end: %w", err)
	}
	id := digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(hashed.h.Sum(nil)))
	return Result{DiffID: id, Size: rw.size, TarSize: hashed.n}, rw.tree.replaced, nil
}

// classify calls malformed what neither the stream's source nor the disk's file has failed at.
func classify(in *hashReader, err error) error {
	var no syscall.Errno
	if in.err != nil || errors.As(err, &no) || errdefs.IsInvalidArgument(err) || errdefs.IsResourceExhausted(err) {
		return err
	}
	return fmt.Errorf("malformed layer: %w: %w", err, errdefs.ErrInvalidArgument)
}

// writeDisk keeps a panic of the writer on hostile input an error.
func writeDisk(r io.Reader, out io.ReadWriteSeeker, limit int64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed layer: %v: %w", p, errdefs.ErrInvalidArgument)
		}
	}()
	return tar2ext4.ConvertTarToExt4(r, out, tar2ext4.ConvertWhiteout, tar2ext4.MaximumDiskSize(2*limit+16<<20))
}
