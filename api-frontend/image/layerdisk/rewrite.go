package layerdisk

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

const (
	whiteout    = ".wh."
	opaque      = ".wh..wh..opq"
	auxPrefix   = ".wh..wh."
	xattrRecord = "SCHILY.xattr."
)

// rewriter is a tar stream made from another: names moved below Root, parents made explicit, entries that a disk cannot
// or must not hold left out. It is pulled by its reader, without a goroutine.
type rewriter struct {
	in      *tar.Reader
	out     bytes.Buffer // Headers and padding that wait to be read.
	body    int64        // Bytes of the current entry still to come from in.
	pad     int64        // Padding after them.
	tree    tree
	left    int
	index   int
	size    int64
	bytes   int64
	started bool
	ended   bool
	err     error
	skip    map[int]struct{}
}

func newRewriter(r io.Reader, lim Limits) *rewriter {
	return &rewriter{in: tar.NewReader(r), tree: newTree(), left: lim.Entries, bytes: lim.Bytes, index: -1}
}

// cause prefers the rewriter's own error to the writer's wrapping of it.
func (w *rewriter) cause(err error) error {
	if w.err != nil && !errors.Is(w.err, io.EOF) {
		return w.err
	}
	return err
}

func (w *rewriter) Read(p []byte) (int, error) {
	for {
		switch {
		case w.err != nil:
			return 0, w.err
		case w.out.Len() > 0:
			return w.out.Read(p)
		case w.body > 0:
			n, err := w.in.Read(p[:min(int64(len(p)), w.body)])
			w.body -= int64(n)
			if w.body == 0 {
				w.out.Write(zeroes[:w.pad])
				err = nil
			} else if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			w.err = err
			if n > 0 {
				return n, nil
			}
		case w.ended:
			w.err = io.EOF
		default:
			w.err = w.next()
		}
	}
}

var zeroes [1024]byte

// next puts the next entry's header, and what must come before it, into out.
func (w *rewriter) next() error {
	if !w.started {
		w.started = true
		return w.emit(folder(Root + "/"))
	}
	h, err := w.in.Next()
	if errors.Is(err, io.EOF) {
		w.ended = true
		w.out.Write(zeroes[:])
		return nil
	}
	if err != nil {
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("malformed layer: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		return err
	}
	w.index++
	if w.left--; w.left < 0 {
		return errdefs.ErrResourceExhausted.WithMessage("layer has too many entries")
	}
	if _, old := w.skip[w.index]; old {
		return nil
	}
	return w.entry(h)
}

func (w *rewriter) entry(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
	case '\x00', tar.TypeGNUSparse, tar.TypeCont: // Regular files of older formats.
		h.Typeflag = tar.TypeReg
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("unhandled tar header type %d", h.Typeflag))
	}
	if h.Size < 0 {
		return errdefs.ErrInvalidArgument.WithMessage("malformed layer: negative size")
	}
	if h.Typeflag != tar.TypeReg {
		h.Size = 0
	}
	name := path.Clean("/" + h.Name)[1:]
	base := path.Base(name)
	if strings.HasPrefix(base, auxPrefix) && base != opaque {
		return nil // aufs's own: never content.
	}
	parent, err := w.parents(path.Dir("/" + name)[1:])
	if err != nil {
		return err
	}
	if name != "" {
		name = path.Join(parent, base)
	}
	if w.size += h.Size; w.size > w.bytes { // A sparse file's holes are not in the stream.
		return errdefs.ErrResourceExhausted.WithMessage(fmt.Sprintf("layer's files are larger than %d bytes", w.bytes))
	}
	return w.content(h, name)
}

// parents makes the folders above an entry explicit, and resolves symbolic links of this layer on the way.
func (w *rewriter) parents(dir string) (string, error) {
	resolved, missing, err := w.tree.resolve(dir)
	if err != nil {
		return "", err
	}
	for _, m := range missing {
		if err := w.emit(folder(Root + "/" + m + "/")); err != nil {
			return "", err
		}
	}
	return resolved, nil
}

func (w *rewriter) content(h *tar.Header, name string) error {
	out := &tar.Header{
		Typeflag: h.Typeflag, Name: Root + "/" + name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode & 0o7777,
		Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime, AccessTime: h.AccessTime, ChangeTime: h.ChangeTime,
		Devmajor: h.Devmajor, Devminor: h.Devminor, Format: tar.FormatPAX,
	}
	if out.Uid < 0 || out.Gid < 0 || int64(out.Uid) > 1<<32-1 || int64(out.Gid) > 1<<32-1 {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("malformed layer: owner of %q out of range", h.Name))
	}
	if strings.HasPrefix(path.Base(name), whiteout) {
		return w.whiteout(out, name)
	}
	if h.Typeflag == tar.TypeLink {
		link, err := w.tree.place(path.Clean("/" + h.Linkname)[1:])
		if err != nil {
			return err
		}
		if link == name {
			return nil
		}
		out.Linkname = Root + "/" + link
	}
	for k, v := range h.PAXRecords {
		if x, ok := strings.CutPrefix(k, xattrRecord); ok && keepXattr(x) {
			if out.PAXRecords == nil {
				out.PAXRecords = make(map[string]string)
			}
			out.PAXRecords[k] = v
		}
	}
	skip, err := w.tree.add(name, h, w.index)
	if err != nil || skip {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		out.Name += "/"
	}
	return w.emit(out)
}

func (w *rewriter) whiteout(out *tar.Header, name string) error {
	out.Typeflag, out.Size, out.Linkname = tar.TypeReg, 0, ""
	if base := path.Base(name); base != opaque {
		gone := path.Join(path.Dir("/" + name)[1:], strings.TrimPrefix(base, whiteout))
		if gone == "" || strings.TrimPrefix(base, whiteout) == ".." || strings.TrimPrefix(base, whiteout) == "." {
			return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("malformed layer: whiteout %q", name))
		}
		if w.tree.has(gone) {
			return nil // This layer has the name itself: what it hides below, it hides already.
		}
		w.tree.whiteout(gone, w.index)
	}
	return w.emit(out)
}

// keepXattr leaves out what would steer overlayfs and what the file system itself owns.
func keepXattr(name string) bool {
	return name != "" && len(name) < 256 && !strings.HasPrefix(name, "trusted.overlay.") &&
		!strings.HasPrefix(name, "user.overlay.") && name != "system.data"
}

func folder(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

func (w *rewriter) emit(h *tar.Header) error {
	if err := tar.NewWriter(&w.out).WriteHeader(h); err != nil {
		return fmt.Errorf("malformed layer: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	w.body = h.Size
	w.pad = -h.Size & 511
	return nil
}
