package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/rootfs"
)

// pair is a connected pair of unix sockets.
func pair(t testing.TB) (here, there net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if out[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return out[0], out[1]
}

func oneFile(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o600, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a view needs root")
	}
}

func TestPut(t *testing.T) {
	needRoot(t)
	defer goleak.VerifyNone(t)
	root := &rootfs.Root{Path: t.TempDir()}
	want := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(oneFile(t, want)), "in pieces": iotest.HalfReader(bytes.NewReader(oneFile(t, want))),
	} {
		if err := Put(root, "/", r, PutOptions{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(filepath.Join(root.Path, "file")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	cut := errors.New("cut")
	err := Put(root, "/", io.MultiReader(bytes.NewReader(oneFile(t, want)[:1_000_000]), iotest.ErrReader(cut)), PutOptions{})
	if !errors.Is(err, cut) {
		t.Errorf("a stream that broke: %v", err)
	}
}

// TestPutRefusesAndLeaves: what is refused does not wait for a sender that says nothing more.
func TestPutRefusesAndLeaves(t *testing.T) {
	needRoot(t)
	defer goleak.VerifyNone(t)
	here, there := pair(t)
	defer func() { _ = there.Close() }()
	ended := make(chan error, 1)
	go func() {
		ended <- Put(&rootfs.Root{Path: t.TempDir()}, "/", here, PutOptions{})
		_ = here.Close()
	}()
	if _, err := there.Write([]byte(strings.Repeat("no tar ", 1000))); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("garbage was taken")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for more")
	}
}

func BenchmarkPut(b *testing.B) {
	needRoot(b)
	archive := oneFile(b, make([]byte, 64<<20))
	root := &rootfs.Root{Path: b.TempDir()}
	b.SetBytes(int64(len(archive)))
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	for b.Loop() {
		here, there := pair(b)
		go func() {
			_, _ = there.Write(archive)
			_ = there.Close()
		}()
		if err := Put(root, "/", here, PutOptions{}); err != nil {
			b.Fatal(err)
		}
		_ = here.Close()
	}
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
}
