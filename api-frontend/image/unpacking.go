package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/layerdisk"
)

// unpacking makes a disk of a blob that is still coming.
type unpacking struct {
	s    *Service
	f    *flight
	part *content.Partial
	disk *os.File
	// doubtful says that the blob's beginning is from an earlier process: it may be torn, and is believed only once the
	// whole is verified.
	doubtful bool
	whole    atomic.Bool // The download has ended well.
	failed   bool
	res      layerdisk.Result
}

func (u *unpacking) open() (io.ReadCloser, error) {
	return &counted{ReadCloser: u.part.Reader(), moved: func(n int64) {
		if u.whole.Load() {
			u.f.progress("Extracting", n)
		}
	}}, nil
}

// run unpacks while the bytes come.
func (u *unpacking) run(ctx context.Context) (err error) {
	u.res, err = layerdisk.Convert(ctx, u.open, u.disk, u.s.opt.Limits)
	if err != nil && u.doubtful && ctx.Err() == nil {
		u.failed = true
		return nil
	}
	return err
}

// again unpacks a second time, from the verified bytes, if the first time read others.
func (u *unpacking) again(ctx context.Context) (err error) {
	if !u.failed && !u.part.Restarted() {
		return nil
	}
	if err := u.disk.Truncate(0); err != nil {
		return fmt.Errorf("empty layer disk: %w", err)
	}
	if _, err := u.disk.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind layer disk: %w", err)
	}
	u.res, err = layerdisk.Convert(ctx, u.open, u.disk, u.s.opt.Limits)
	return err
}
