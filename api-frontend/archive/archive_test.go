package archive

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/container/record"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// world is a fake engine with one container and its agent.
type world struct {
	t        *testing.T
	rec      *record.Container
	open     error        // of the stream.
	result   error        // of the stream's end.
	content  []byte       // what a get sends.
	stopAt   int          // a put is refused after so many bytes; 0: never.
	got      bytes.Buffer // what a put received.
	put      *guestv1.ArchivePutStream
	borrowed int
	events   []events.Action
	wg       sync.WaitGroup
	ended    chan struct{}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ended: make(chan struct{}), rec: &record.Container{
		ID: "c1", HostConfig: &container.HostConfig{},
	}}
	t.Cleanup(func() {
		w.wg.Wait()
		if w.borrowed != 0 {
			t.Errorf("%d sandboxes are still borrowed", w.borrowed)
		}
	})
	return w
}

func (w *world) Record(ref string) (*record.Container, error) {
	if ref != "web" {
		return nil, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
	}
	return w.rec, nil
}

func (w *world) Borrow(context.Context, *record.Container) (Agent, func(), error) {
	w.borrowed++
	return w, func() { w.borrowed-- }, nil
}

func (w *world) Publish(_ string, action events.Action, _ map[string]string) {
	w.events = append(w.events, action)
}

func (w *world) StatPath(_ context.Context, in *guestv1.StatPathRequest, _ ...grpc.CallOption) (*guestv1.StatPathResponse, error) {
	if in.Path != "/file" {
		return nil, status.Error(codes.NotFound, "lstat "+in.Path+": no such file or directory")
	}
	return &guestv1.StatPathResponse{Name: "file", Size: 7, Mode: uint32(fs.ModeSymlink | 0o755), ModifiedUnixNano: 5, LinkTarget: "/t"}, nil
}

func (w *world) StreamResult(context.Context, *guestv1.StreamResultRequest, ...grpc.CallOption) (*guestv1.StreamResultResponse, error) {
	<-w.ended
	return &guestv1.StreamResultResponse{}, w.result
}

func (w *world) OpenStream(_ context.Context, req *guestv1.StreamRequest) (net.Conn, *guestv1.StreamReply, error) {
	if w.open != nil {
		return nil, nil, w.open
	}
	dir := w.t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = l.Close() }()
	host, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	agent, err := l.Accept()
	if err != nil {
		return nil, nil, err
	}
	w.put = req.GetArchivePut()
	w.wg.Go(func() {
		defer close(w.ended)
		defer func() { _ = agent.Close() }()
		if w.put == nil {
			_, _ = agent.Write(w.content)
			return
		}
		var r io.Reader = agent
		if w.stopAt > 0 {
			r = io.LimitReader(agent, int64(w.stopAt))
		}
		_, _ = io.Copy(&w.got, r)
	})
	return host, &guestv1.StreamReply{Stat: &guestv1.StatPathResponse{Name: "dir", Mode: uint32(fs.ModeDir | 0o700)}}, nil
}

func TestStatPath(t *testing.T) {
	w := newWorld(t)
	s := New(w)
	got, err := s.StatPath(t.Context(), "web", "/file")
	want := container.PathStat{Name: "file", Size: 7, Mode: fs.ModeSymlink | 0o755, Mtime: time.Unix(0, 5), LinkTarget: "/t"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = s.StatPath(t.Context(), "web", "/x")
	if !errdefs.IsNotFound(err) || err.Error() != "Could not find the file /x in container web" {
		t.Errorf("got %v", err)
	}
	_, err = s.StatPath(t.Context(), "nobody", "/x")
	if !errdefs.IsNotFound(err) || err.Error() != "No such container: nobody" {
		t.Errorf("got %v", err)
	}
}

func TestGet(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	w.content = bytes.Repeat([]byte("tar"), 1<<20)
	tar, stat, err := New(w).Get(t.Context(), "web", "/dir")
	if err != nil || stat.Name != "dir" || !stat.Mode.IsDir() {
		t.Fatalf("got %+v, %v", stat, err)
	}
	var got bytes.Buffer
	if err := Copy(&got, tar); err != nil || !bytes.Equal(got.Bytes(), w.content) {
		t.Errorf("got %d bytes, %v", got.Len(), err)
	}
	if err := tar.Close(); err != nil {
		t.Error(err)
	}
	if len(w.events) != 1 || w.events[0] != "archive-path" {
		t.Errorf("events %v", w.events)
	}
}

func TestExport(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	w.content = []byte("tar")
	tar, err := New(w).Export(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(tar); err != nil || string(got) != "tar" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := tar.Close(); err != nil {
		t.Error(err)
	}
	if len(w.events) != 1 || w.events[0] != "export" {
		t.Errorf("events %v", w.events)
	}
}

// TestGetFails: a stream that the agent could not finish fails at its end.
func TestGetFails(t *testing.T) {
	w := newWorld(t)
	w.content, w.result = []byte("half"), status.Error(codes.DataLoss, "read /dir/a: input/output error")
	tar, _, err := New(w).Get(t.Context(), "web", "/dir")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Copy(&got, tar); err == nil || !strings.Contains(err.Error(), "input/output error") || got.String() != "half" {
		t.Errorf("got %q, %v", got.String(), err)
	}
	_ = tar.Close()
	w = newWorld(t)
	w.open = status.Error(codes.NotFound, "no such file")
	if _, _, err = New(w).Get(t.Context(), "web", "/x"); err == nil || err.Error() != "Could not find the file /x in container web" {
		t.Errorf("got %v", err)
	}
}

func TestGetEndsWithClient(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := newWorld(t)
	w.content = make([]byte, 64<<20)
	ctx, cancel := context.WithCancelCause(t.Context())
	tar, _, err := New(w).Get(ctx, "web", "/dir")
	if err != nil {
		t.Fatal(err)
	}
	cancel(nil)
	if err := Copy(io.Discard, tar); err == nil {
		t.Error("no error")
	}
	_ = tar.Close()
	w.wg.Wait()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = z.Close() }()
	return z.EncodeAll(b, nil)
}

// helloXZ and helloBzip2 are "hello\n", as the programs of these names make it.
const (
	helloXZ    = "\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x00\x00\xa5\x60\x97\xf1\x94\xf6\xfd\xe0\x00\x01\x1e\x06\xc1\x2f\xa4\x1d\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\x5a"
	helloBzip2 = "BZh91AY&SY\xc1\xc0\x80\xe2\x00\x00\x01A\x00\x00\x10\x02D\xa0\x000\xcd\x00\xc3F)\x97\x17rE8P\x90\xc1\xc0\x80\xe2"
)

func TestPut(t *testing.T) {
	defer goleak.VerifyNone(t)
	plain := bytes.Repeat([]byte("hello\n"), 200_000)
	for _, c := range []struct {
		name string
		body []byte
		want []byte
	}{
		{"plain", plain, plain},
		{"empty", nil, nil},
		{"short", []byte("x"), []byte("x")},
		{"gzip", gz(plain), plain},
		{"two gzip members", append(gz([]byte("a")), gz([]byte("b"))...), []byte("ab")},
		{"zstd", zst(plain), plain},
		{"xz", []byte(helloXZ), []byte("hello\n")},
		{"bzip2", []byte(helloBzip2), []byte("hello\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			err := New(w).Put(t.Context(), "web", "/dir", PutOptions{NoOverwriteDirNonDir: true, CopyUIDGID: true}, bytes.NewReader(c.body))
			w.wg.Wait()
			if err != nil || !bytes.Equal(w.got.Bytes(), c.want) {
				t.Errorf("sent %d bytes, %v", w.got.Len(), err)
			}
			if w.put.Path != "/dir" || !w.put.NoOverwriteDirNonDir || !w.put.CopyUidGid || w.put.ContainerId != "c1" {
				t.Errorf("asked %+v", w.put)
			}
			if len(w.events) != 1 || w.events[0] != "extract-to-dir" {
				t.Errorf("events %v", w.events)
			}
		})
	}
}

func TestPutFails(t *testing.T) {
	defer goleak.VerifyNone(t)
	left := errors.New("the client left")
	long := bytes.NewReader(make([]byte, 32<<20))
	for _, c := range []struct {
		name   string
		world  func(*world)
		body   io.Reader
		want   string
		class  func(error) bool
		events int
	}{
		{"no such directory", func(w *world) { w.open = status.Error(codes.NotFound, "no") }, long,
			"Could not find the file /dir in container web", errdefs.IsNotFound, 0},
		{"not a directory", func(w *world) {
			w.open = status.Error(codes.InvalidArgument, "extraction point is not a directory")
		}, long,
			"extraction point is not a directory", errdefs.IsInvalidArgument, 0},
		{"refused at the end", func(w *world) { w.result = status.Error(codes.InvalidArgument, "unexpected EOF") }, strings.NewReader("x"),
			"unexpected EOF", errdefs.IsInvalidArgument, 0},
		{"refused in the middle", func(w *world) {
			w.stopAt, w.result = 100, status.Error(codes.FailedPrecondition, "cannot overwrite directory")
		}, long,
			"cannot overwrite directory", errdefs.IsInvalidArgument, 0},
		{"client leaves", func(*world) {}, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(left)),
			"read archive: the client left", func(err error) bool { return errors.Is(err, left) }, 0},
		{"torn gzip", func(*world) {}, bytes.NewReader(gz(make([]byte, 1000))[:20]),
			"read archive: unexpected EOF", errdefs.IsInvalidArgument, 0},
		{"read-only volume", func(w *world) {
			w.rec.Mounts = []record.MountPoint{{Destination: "/", RW: true}, {Destination: "/dir"}}
		}, long, "mounted volume is marked read-only", errdefs.IsInvalidArgument, 0},
		{"read-only root", func(w *world) {
			w.rec.HostConfig.ReadonlyRootfs = true
			w.rec.Mounts = []record.MountPoint{{Destination: "/director", RW: true}}
		}, long, "container rootfs is marked read-only", errdefs.IsInvalidArgument, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.world(w)
			err := New(w).Put(t.Context(), "web", "/dir", PutOptions{}, c.body)
			if err == nil || err.Error() != c.want || !c.class(err) || len(w.events) != 0 {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	w := newWorld(t)
	w.rec.HostConfig.ReadonlyRootfs = true
	w.rec.Mounts = []record.MountPoint{{Destination: "/dir", RW: true}}
	if err := New(w).Put(t.Context(), "web", "/dir/below", PutOptions{}, strings.NewReader("x")); err != nil {
		t.Errorf("a writable volume of a read-only container: %v", err)
	}
}

// FuzzDecompress: nothing that a client sends does more than fail, and memory stays bounded.
func FuzzDecompress(f *testing.F) {
	for _, s := range []string{"", "plain", helloXZ, helloBzip2, string(gz([]byte("x"))), string(zst([]byte("x")))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, free, err := Decompress(bytes.NewReader(b))
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Fatal(err)
			}
			return
		}
		defer free()
		_, _ = io.Copy(io.Discard, io.LimitReader(r, 16<<20))
	})
}

// BenchmarkPut is an upload on its way to the agent.
func BenchmarkPut(b *testing.B) {
	near, far := socket(b)
	go func() { _ = Copy(io.Discard, far) }()
	plain, free, err := Decompress(&zeroes{n: int64(b.N) << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer free()
	b.SetBytes(1 << 20)
	if err := send(near, plain); err != nil {
		b.Fatal(err)
	}
	_ = near.Close()
}

func socket(b *testing.B) (net.Conn, net.Conn) {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return c, s
}

type zeroes struct{ n int64 }

func (z *zeroes) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	z.n -= n
	return int(n), nil
}
