package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moby/moby/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ReadSeekCloser is an open blob.
type ReadSeekCloser interface {
	io.ReadSeeker
	io.Closer
}

// Opener opens a blob to be sent.
type Opener func() (ReadSeekCloser, error)

// Push runs f with a session at the repository's own registry: mirrors are for pulls.
func (c *Client) Push(ctx context.Context, named reference.Named, auth registry.AuthConfig, f func(*Session) error) error {
	eps := c.endpoints(named)
	s, err := c.open(ctx, named, eps[len(eps)-1], auth, ScopePush)
	if err == nil {
		err = f(s)
	}
	return denied(err)
}

// denied puts a refusal of a push into Docker's words.
func denied(err error) error {
	var d *DeniedError
	if errors.As(err, &d) {
		return errdefs.ErrPermissionDenied.WithMessage("denied: requested access to the resource is denied")
	}
	return err
}

// PutBlob sends a blob unless the registry has it: there says that it had.
func (s *Session) PutBlob(ctx context.Context, d ocispec.Descriptor, open Opener, moved func(int64)) (there bool, err error) {
	resp, err := s.do(ctx, http.MethodHead, s.base+"/blobs/"+d.Digest.String(), "", nil, 0)
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close() // A HEAD has none.
	if resp.StatusCode == http.StatusOK {
		return true, nil
	}
	resp, err = s.do(ctx, http.MethodPost, s.base+"/blobs/uploads/", "", http.NoBody, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }() // Nothing is read of it.
	if err := transport.CheckError(resp, http.StatusAccepted); err != nil {
		return false, translate(s.named, s.ep, err)
	}
	target, err := uploadURL(resp, d)
	if err != nil {
		return false, err
	}
	body, err := open()
	if err != nil {
		return false, err
	}
	put, err := s.do(ctx, http.MethodPut, target, "application/octet-stream", &sent{ReadCloser: body, moved: moved}, d.Size)
	if err != nil {
		return false, err
	}
	defer func() { _ = put.Body.Close() }() // Nothing is read of it.
	if err := transport.CheckError(put, http.StatusCreated); err != nil {
		return false, translate(s.named, s.ep, err)
	}
	return false, nil
}

func uploadURL(resp *http.Response, d ocispec.Descriptor) (string, error) {
	loc, err := resp.Location()
	if err != nil {
		return "", bad("registry named no place for an upload: %v", err)
	}
	q := loc.Query()
	q.Set("digest", d.Digest.String())
	u := url.URL(*loc)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// PutManifest sends a manifest under a tag.
func (s *Session) PutManifest(ctx context.Context, tag string, d ocispec.Descriptor, raw []byte) error {
	resp, err := s.do(ctx, http.MethodPut, s.base+"/manifests/"+tag, d.MediaType, bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // Nothing is read of it.
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted); err != nil {
		return translate(s.named, s.ep, err)
	}
	return nil
}

func (s *Session) do(ctx context.Context, method, target, media string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if size > 0 {
		req.ContentLength = size
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, translate(s.named, s.ep, err)
	}
	return resp, nil
}

// sent tells how many bytes went out.
type sent struct {
	io.ReadCloser
	n     int64
	moved func(int64)
}

func (s *sent) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.n += int64(n)
	if s.moved != nil && n > 0 {
		s.moved(s.n)
	}
	return n, err
}
