package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Blob opens a blob at an offset. It returns the offset where the stream really begins: 0 when the registry does not
// serve ranges.
func (s *Session) Blob(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	span := ""
	if offset > 0 {
		span = fmt.Sprintf("bytes=%d-%d", offset, d.Size-1) // Some registries refuse a span without an end.
	}
	resp, err := s.get(ctx, "/blobs/"+d.Digest.String(), "", span)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return resp.Body, 0, nil
	case offset > 0 && resp.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)):
		return resp.Body, offset, nil
	case offset > 0 && (resp.StatusCode == http.StatusPartialContent || refusesSpan(resp.StatusCode)):
		_ = resp.Body.Close() // Nothing is read of it.
		return s.Blob(ctx, d, 0)
	}
	err = transport.CheckError(resp, http.StatusOK)
	_ = resp.Body.Close() // Nothing more is read of it.
	return nil, 0, translate(s.named, s.ep, err)
}

func refusesSpan(status int) bool {
	return status == http.StatusRequestedRangeNotSatisfiable || status == http.StatusBadRequest || status == http.StatusNotImplemented
}

func (s *Session) get(ctx context.Context, path, accept, span string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, translate(s.named, s.ep, err)
	}
	return resp, nil
}
