package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/moby/go-archive"
	"golang.org/x/sys/unix"
)

const (
	tarBlock  = 512
	fileChunk = 1 << 20
)

// getFile writes a tar of one regular file, whose bytes go from the file to a socket inside the kernel where they can.
// It runs in a view.
func getFile(path string, w io.Writer) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return classify(&os.PathError{Op: "open", Path: path, Err: err})
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	h, err := archive.FileInfoHeader(fi.Name(), fi, "")
	if err != nil {
		return fmt.Errorf("describe file: %w", err)
	}
	h.Typeflag = tar.TypeReg // A hard link's other names are not part of this archive.
	if err := archive.ReadSecurityXattrToTarHeader(path, h); err != nil {
		return fmt.Errorf("describe file: %w", err)
	}
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(h); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	if _, err := w.Write(head.Bytes()); err != nil {
		return err
	}
	if err := sendBytes(w, f, h.Size); err != nil {
		return err
	}
	pad := (tarBlock - h.Size%tarBlock) % tarBlock
	_, err = w.Write(make([]byte, pad+2*tarBlock))
	return err
}

// sendBytes sends exactly n bytes of f; one that has shrunk is an error, as the tar could not be whole.
func sendBytes(w io.Writer, f *os.File, n int64) error {
	c, ok := w.(*net.UnixConn)
	if !ok {
		m, err := io.CopyBuffer(onlyWriter{w}, io.LimitReader(f, n), make([]byte, fileChunk))
		if err == nil && m < n {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sent int64
	for sent < n {
		var m int
		var serr error
		err := raw.Write(func(fd uintptr) bool {
			m, serr = unix.Sendfile(int(fd), int(f.Fd()), nil, int(min(n-sent, fileChunk)))
			return !errors.Is(serr, syscall.EAGAIN)
		})
		if err = errors.Join(err, serr); err != nil {
			return fmt.Errorf("send file: %w", err)
		}
		if m == 0 {
			return fmt.Errorf("send file: %w", io.ErrUnexpectedEOF)
		}
		sent += int64(m)
	}
	return nil
}
