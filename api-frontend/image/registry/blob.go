package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
)

// Blob opens a blob at an offset. It returns the offset where the stream really begins: 0 when the registry does not
// serve ranges.
func (s *Session) Blob(ctx context.Context, d digest.Digest, offset int64) (io.ReadCloser, int64, error) {
	resp, err := s.get(ctx, "/blobs/"+d.String(), "", offset)
	if err != nil {
		return nil, 0, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		_ = resp.Body.Close()
		return nil, 0, translate(s.named, s.ep, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, 0, nil
	}
	if offset == 0 || !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
		_ = resp.Body.Close()
		return nil, 0, bad("registry answered range %q for offset %d", resp.Header.Get("Content-Range"), offset)
	}
	return resp.Body, offset, nil
}

func (s *Session) get(ctx context.Context, path, accept string, offset int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, translate(s.named, s.ep, err)
	}
	return resp, nil
}
