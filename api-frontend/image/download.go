package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/registry"
)

const downloadBuffer = 512 << 10

// download fills a partial blob and verifies it. A connection that is cut is taken up where it stopped, a few times.
func (s *Service) download(ctx context.Context, sess *registry.Session, f *flight, part *content.Partial) error {
	resumed := part.Len() > 0
	buf := make([]byte, downloadBuffer)
	for try := 1; ; try++ {
		before := part.Len()
		err := s.downloadOnce(ctx, sess, f, part, buf)
		if err == nil {
			f.step("Verifying Checksum")
			if err = part.Verify(); err == nil {
				return nil
			}
			if !resumed {
				return err
			}
			resumed = false // What an earlier process left may be torn: once more from the beginning.
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if part.Len() > before {
			try = 1
		}
		if try >= s.opt.Attempts || !worthRetry(err) {
			return err
		}
		if err := s.pause(ctx, f, try); err != nil {
			return err
		}
	}
}

func (s *Service) downloadOnce(ctx context.Context, sess *registry.Session, f *flight, part *content.Partial, buf []byte) (err error) {
	if part.Len() == part.Size() {
		return nil
	}
	body, at, err := sess.Blob(ctx, f.blob, part.Len())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // Read only: nothing to lose.
	if at != part.Len() {
		if err := part.Restart(); err != nil {
			return err
		}
	}
	for {
		n, err := readMost(body, buf)
		if n > 0 {
			if _, err := part.Write(buf[:n]); err != nil {
				return err
			}
			f.progress("Downloading", part.Len())
		}
		if errors.Is(err, io.EOF) {
			if part.Len() < part.Size() {
				return fmt.Errorf("blob %s: %w", f.blob.Digest, io.ErrUnexpectedEOF)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("download %s: %w", f.blob.Digest, err)
		}
	}
}

// readMost reads until the buffer is half full: few writes for a fast registry, no delay for a slow one's progress.
func readMost(r io.Reader, b []byte) (n int, err error) {
	for n < len(b)/2 && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// worthRetry says whether another try can end differently.
func worthRetry(err error) bool {
	var gone *registry.UnreachableError
	switch {
	case errors.As(err, &gone):
		return false
	case errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err), errdefs.IsResourceExhausted(err), errdefs.IsPermissionDenied(err):
		return false
	}
	return true
}

func (s *Service) pause(ctx context.Context, f *flight, try int) error {
	f.step(fmt.Sprintf("Retrying in %d second%s", try, plural(try)))
	t := time.NewTimer(time.Duration(try) * s.retryUnit())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Service) retryUnit() time.Duration {
	if s.opt.RetryUnit > 0 {
		return s.opt.RetryUnit
	}
	return time.Second
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
