package attach

import (
	"encoding/binary"
	"io"

	"github.com/arca-engine/arca/internal/guestwire"
)

// Headroom is the space before the data of a frame that whoever takes the frame may overwrite.
const Headroom = 8

// Sink takes the data of one frame, frame[Headroom:], and may overwrite the headroom. It keeps nothing of it.
type Sink func(s guestwire.Stream, frame []byte) error

// Discard is a Sink that drops everything.
func Discard(guestwire.Stream, []byte) error { return nil }

// Writer writes output to a client.
type Writer struct {
	// W is the client. A frame is one Write.
	W io.Writer
	// Multiplex puts stdcopy's header before each frame; without it the bytes go out as they are, as a terminal's do.
	Multiplex bool
	// Stdout and Stderr say which streams the client wants.
	Stdout, Stderr bool
}

// Frame is a Sink.
func (w *Writer) Frame(s guestwire.Stream, frame []byte) error {
	if (s == guestwire.Stdout && !w.Stdout) || (s == guestwire.Stderr && !w.Stderr) || len(frame) == Headroom {
		return nil
	}
	if !w.Multiplex {
		_, err := w.W.Write(frame[Headroom:])
		return err
	}
	frame[0], frame[1], frame[2], frame[3] = byte(s), 0, 0, 0
	binary.BigEndian.PutUint32(frame[4:], uint32(len(frame)-Headroom))
	_, err := w.W.Write(frame)
	return err
}

// Text sends a sentence of the engine itself to the client, on stdout, as dockerd does when an exec fails to start.
func (w *Writer) Text(s string) error {
	all := Writer{W: w.W, Multiplex: w.Multiplex, Stdout: true}
	return all.Frame(guestwire.Stdout, append(make([]byte, Headroom), s...))
}
