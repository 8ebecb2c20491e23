package routes

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/archive"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
)

// fakeArchives has one path, and remembers what was put.
type fakeArchives struct {
	content io.Reader
	closed  chan struct{}
	put     bytes.Buffer
	options archive.PutOptions
}

var theStat = container.PathStat{Name: "dir", Size: 4096, Mode: fs.ModeDir | 0o755, Mtime: time.Unix(0, 0).UTC(), LinkTarget: ""}

func (*fakeArchives) StatPath(context.Context, string, string) (container.PathStat, error) {
	return theStat, nil
}

func (f *fakeArchives) Get(context.Context, string, string) (io.ReadCloser, container.PathStat, error) {
	return f, theStat, nil
}

func (f *fakeArchives) Export(context.Context, string) (io.ReadCloser, error) { return f, nil }

func (f *fakeArchives) Read(p []byte) (int, error) { return f.content.Read(p) }
func (f *fakeArchives) Close() error               { close(f.closed); return nil }

func (f *fakeArchives) Put(_ context.Context, _, _ string, o archive.PutOptions, body io.Reader) error {
	f.options = o
	_, err := io.Copy(&f.put, body)
	return err
}

func checkStat(t *testing.T, h http.Header) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(h.Get("X-Docker-Container-Path-Stat"))
	want := `{"name":"dir","size":4096,"mode":2147484141,"mtime":"1970-01-01T00:00:00Z","linkTarget":""}`
	if err != nil || string(b) != want {
		t.Errorf("stat %s, %v", b, err)
	}
}

func archiveServer(t *testing.T, content io.Reader) (*fakeArchives, *servertest.Server) {
	f := &fakeArchives{content: content, closed: make(chan struct{})}
	return f, servertest.New(t, ArchiveRoutes(f))
}

// archiveAnswer is an answer, read to its end.
type archiveAnswer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the reading.
}

func archiveRequest(t *testing.T, s *servertest.Server, method, query string, body io.Reader) archiveAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://d/v1.51/containers/web/archive?"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return archiveAnswer{resp.StatusCode, resp.Header, b, err}
}

func TestArchiveRoutes(t *testing.T) {
	content := bytes.Repeat([]byte("tar"), 3<<20)
	f, s := archiveServer(t, bytes.NewReader(content))
	resp := archiveRequest(t, s, http.MethodHead, "path=/dir", nil)
	if resp.status != 200 {
		t.Errorf("head: %d", resp.status)
	}
	checkStat(t, resp.header)

	resp = archiveRequest(t, s, http.MethodGet, "path=/dir", nil)
	if resp.err != nil || !bytes.Equal(resp.body, content) || resp.header.Get("Content-Type") != "application/x-tar" {
		t.Errorf("get: %d bytes, %v, %v", len(resp.body), resp.err, resp.header)
	}
	checkStat(t, resp.header)
	<-f.closed

	// A body without a length, as the CLI sends it.
	resp = archiveRequest(t, s, http.MethodPut, "path=/dir&noOverwriteDirNonDir=true&copyUIDGID=1", io.MultiReader(bytes.NewReader(content)))
	if resp.status != 200 || !bytes.Equal(f.put.Bytes(), content) || !f.options.NoOverwriteDirNonDir || !f.options.CopyUIDGID {
		t.Errorf("put: %d, %d bytes, %+v", resp.status, f.put.Len(), f.options)
	}
}

// TestArchiveIsCut: a client never takes half an archive for a whole one.
func TestArchiveIsCut(t *testing.T) {
	f, s := archiveServer(t, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("disk"))))
	resp := archiveRequest(t, s, http.MethodGet, "path=/dir", nil)
	if resp.err == nil {
		t.Errorf("got %q", resp.body)
	}
	<-f.closed
}

// TestArchiveClientLeaves: the stream is closed although nobody reads it.
func TestArchiveClientLeaves(t *testing.T) {
	f, s := archiveServer(t, neverEnding{})
	ctx, cancel := context.WithCancelCause(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://d/v1.51/containers/web/archive?path=/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	cancel(nil)
	<-f.closed
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func TestArchiveRefusals(t *testing.T) {
	_, s := archiveServer(t, nil)
	for _, method := range []string{"GET", "PUT"} {
		status, body := ask(t, s, method, "/v1.51/containers/web/archive", "")
		wantMessage(t, method, status, body, 400, "bad parameter: pathcannot be empty")
	}
	if resp := archiveRequest(t, s, http.MethodHead, "", nil); resp.status != 400 {
		t.Errorf("head: %d", resp.status)
	}
}

// BenchmarkArchiveGet is a download through the server.
func BenchmarkArchiveGet(b *testing.B) {
	f := &fakeArchives{content: io.LimitReader(neverEnding{}, int64(b.N)<<20), closed: make(chan struct{})}
	s := servertest.New(b, ArchiveRoutes(f))
	b.SetBytes(1 << 20)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://d/v1.51/containers/web/archive?path=/", nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := archive.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkArchivePut is an upload through the server.
func BenchmarkArchivePut(b *testing.B) {
	f := &fakeArchives{}
	s := servertest.New(b, ArchiveRoutes(discardArchives{f}))
	b.SetBytes(1 << 20)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, "http://d/v1.51/containers/web/archive?path=/",
		io.LimitReader(neverEnding{}, int64(b.N)<<20))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil || resp.StatusCode != 200 {
		b.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

type discardArchives struct{ *fakeArchives }

func (discardArchives) Put(_ context.Context, _, _ string, _ archive.PutOptions, body io.Reader) error {
	return archive.Copy(io.Discard, body)
}
