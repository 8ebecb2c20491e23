package testagent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/guestwire"
	"github.com/arca-engine/arca/internal/peercred"
)

// Main turns this process into an agent when it was started as one. It does not return then.
func Main() {
	if os.Getenv(bootwire.Env) != bootwire.EnvNamespace {
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run() error {
	conn, l, err := bootwire.Inherit()
	if err != nil {
		return err
	}
	req, err := conn.Receive()
	if err != nil {
		return err
	}
	if err := prepare(req); err != nil {
		return errors.Join(err, conn.Reply(bootwire.Response{Seq: req.Seq, Error: err.Error()}))
	}
	s := &Server{BootID: req.Spec.BootID, Stat: os.Lstat, End: func() { time.Sleep(10 * time.Millisecond); os.Exit(0) }}
	srv := s.New()
	pl := &portListener{Listener: &peercred.Listener{Listener: l, Allow: peercred.UIDs(req.Spec.AllowedUIDs...)}}
	errs := make(chan error, 1)
	go func() { errs <- srv.Serve(pl) }()
	if err := conn.Reply(bootwire.Response{Seq: req.Seq}); err != nil {
		return err
	}
	go changes(conn)
	return <-errs
}

// prepare makes the agent's root a place of its own and attaches what the boot brings.
func prepare(req *bootwire.Request) error {
	defer req.Close()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return attach(req)
}

func attach(req *bootwire.Request) error {
	for _, a := range req.Attachments {
		if err := attachOne(a); err != nil {
			return fmt.Errorf("attach %s %s: %w", a.Kind, a.ID, err)
		}
	}
	return nil
}

// Place is where the test agent puts an attachment.
func Place(ref string) string {
	_, p, _ := strings.Cut(ref, ":")
	return "/mnt" + p
}

func attachOne(a bootwire.Attachment) error {
	at := Place(a.Ref)
	if !a.IsDir && a.File != nil {
		if err := os.MkdirAll(at[:strings.LastIndexByte(at, '/')], 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			return err
		}
	} else if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if a.Kind == bootwire.Disk {
		return unix.Mount(strings.TrimPrefix(a.Ref, "block:"), at, "ext4", unix.MS_RDONLY, "")
	}
	return unix.MoveMount(int(a.File.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func changes(conn *bootwire.Conn) {
	for {
		req, err := conn.Receive()
		if err != nil {
			return
		}
		if req.Type == bootwire.Add {
			err = attach(req)
		} else {
			for _, a := range req.Attachments {
				if uerr := unix.Unmount(Place(a.Ref), 0); uerr != nil {
					err = uerr
				}
				_ = os.Remove(Place(a.Ref))
			}
		}
		req.Close()
		r := bootwire.Response{Seq: req.Seq}
		if err != nil {
			r.Error = err.Error()
		}
		if conn.Reply(r) != nil {
			return
		}
	}
}

// portListener accepts the connections that dial the control port.
type portListener struct{ net.Listener }

func (l *portListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var port [4]byte
		if _, err := io.ReadFull(c, port[:]); err == nil && binary.BigEndian.Uint32(port[:]) == guestwire.PortControl {
			return c, nil
		}
		_ = c.Close()
	}
}
