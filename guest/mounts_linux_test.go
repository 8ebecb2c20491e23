package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/internal/bootwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func volume(t testing.TB, id string) (bootwire.Attachment, string) {
	t.Helper()
	dir := t.TempDir()
	return bootwire.Attachment{Kind: bootwire.Volume, ID: id, Ref: "dir:/arca/volumes/" + id, IsDir: true, File: openTree(t, dir)}, dir
}

func TestMounts(t *testing.T) {
	id, root := randomID(), busybox(t)
	if err := os.Chown(filepath.Join(root, "data/file"), 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "data"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(filepath.Join(root, "data/file"), "user.color", []byte("blue"), 0); err != nil {
		t.Fatal(err)
	}
	full, fullDir := volume(t, "full")
	empty, emptyDir := volume(t, "empty")
	if err := os.MkdirAll(filepath.Join(fullDir, "sub/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fullDir, "sub/file"), []byte("sub\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(fullDir, "link")); err != nil {
		t.Fatal(err)
	}
	s := start(t, append(attachments(t, root, id), full, empty)...)
	req := request(t, id, "sh", "-c", "ls /data; cat /v/file /v/../etc/hosts; echo x > /v/x; mount | grep ' /t ' | grep -c 64k; echo y > /ro/y; stat -c %a:%u /data /data/file /t")
	req.Mount.Mounts = []*guestv1.Mount{
		{Kind: guestv1.Mount_BIND, Destination: "/v", Ref: full.Ref, Subpath: "sub"},
		{Kind: guestv1.Mount_BIND, Destination: "/ro", Ref: full.Ref, ReadOnly: true},
		{Kind: guestv1.Mount_BIND, Destination: "/data", Ref: empty.Ref, CopyUp: true},
		{Kind: guestv1.Mount_TMPFS, Destination: "/t", Options: []string{"size=64k", "mode=711"}},
	}
	req.Mount.Files = []*guestv1.File{{Path: "/etc/hosts", Content: []byte("injected\n"), Mode: 0o644}}
	o, e, _ := s.run(req)
	if o != "deep\nfile\nsub\ninjected\n1\n1777:0\n644:1000\n711:0\n" || !strings.Contains(e, "Read-only file system") {
		t.Fatalf("%q %q", o, e)
	}
	var color [8]byte
	if n, err := unix.Getxattr(filepath.Join(emptyDir, "file"), "user.color", color[:]); err != nil || string(color[:n]) != "blue" {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(fullDir, "sub/x")); err != nil || string(b) != "x\n" {
		t.Fatal(err)
	}
	for sub, code := range map[string]codes.Code{"missing": codes.NotFound, "link/passwd": codes.NotFound, "../../etc": codes.NotFound} {
		other := randomID()
		_, err := s.agent.Mount(t.Context(), &guestv1.MountRequest{ContainerId: other, Upper: "dir:/arca/uppers/" + id, Mounts: []*guestv1.Mount{{Kind: guestv1.Mount_BIND, Destination: "/v", Ref: full.Ref, Subpath: sub}}})
		if status.Code(err) != code {
			t.Errorf("subpath %s: %v", sub, err)
		}
	}
}

func TestManyLayersOnDisks(t *testing.T) {
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		t.Skip("no mke2fs here (Debian: e2fsprogs)")
	}
	id := randomID()
	more := attachments(t, busybox(t), id)
	req := request(t, id, "sh", "-c", "cat /layers/* | wc -l; cat /top; ls -d /lost+found")
	for i := range 40 {
		dir := t.TempDir()
		for name, content := range map[string]string{fmt.Sprintf("rootfs/layers/%d", i): "x\n", "rootfs/top": fmt.Sprintln(i)} {
			p := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			if b, err := exec.Command("cp", "-a", more[0].File.Name()+"/.", filepath.Join(dir, "rootfs")).CombinedOutput(); err != nil {
				t.Fatal(err, string(b))
			}
		}
		img := filepath.Join(t.TempDir(), "img")
		if b, err := exec.Command(mke2fs, "-q", "-t", "ext4", "-O", "^has_journal", "-d", dir, img, "8M").CombinedOutput(); err != nil {
			t.Fatal(err, string(b))
		}
		b, err := exec.Command("losetup", "--show", "-r", "-f", img).CombinedOutput()
		if err != nil {
			t.Skip("no loop devices here: ", string(b))
		}
		dev := strings.TrimSpace(string(b))
		t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
		var st unix.Stat_t
		if err := unix.Stat(dev, &st); err != nil {
			t.Fatal(err)
		}
		ref := "block:" + dev
		more = append(more, bootwire.Attachment{Kind: bootwire.Disk, ID: fmt.Sprint(i), Ref: ref, Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)})
		if i == 0 {
			req.Mount.Lowers = nil
		}
		req.Mount.Lowers = append(req.Mount.Lowers, ref)
	}
	req.Mount.LowerSubdir = "rootfs"
	s := start(t, more...)
	if o, e, _ := s.run(req); o != "40\n39\n" {
		t.Fatal(o, e)
	}
	if _, err := s.agent.Unmount(t.Context(), &guestv1.UnmountRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
}

func (s *sandbox) changes(id string) string {
	s.t.Helper()
	res, err := s.agent.Changes(s.t.Context(), &guestv1.ChangesRequest{ContainerId: id})
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range res.Changes {
		fmt.Fprintf(&b, "%c %s\n", "CAD"[c.Kind], c.Path)
	}
	return b.String()
}

func TestChanges(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	s.run(request(t, id, "true"))
	if got := s.changes(id); got != "" {
		t.Fatalf("a container that changed nothing has changed %s", got)
	}
	s.run(request(t, id, "sh", "-c", "echo >> /etc/passwd; mkdir /new; echo > /new/f; rm /data/file; rm -r /data/deep; mkdir /data/deep; echo > /data/deep/other; rm /bin/yes; touch /tmp/x; rm /tmp/x"))
	want := "C /bin\nD /bin/yes\nC /data\nC /data/deep\nD /data/deep/file\nA /data/deep/other\nD /data/file\nC /etc\nC /etc/passwd\nA /new\nA /new/f\n"
	if got := s.changes(id); got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
}

// get returns the entries of an archive.
func (s *sandbox) get(id, path string) (map[string]*tar.Header, map[string]string, *guestv1.StreamReply) {
	s.t.Helper()
	req := &guestv1.StreamRequest{Request: &guestv1.StreamRequest_ArchiveGet{ArchiveGet: &guestv1.ArchiveGetStream{ContainerId: id, Path: path}}}
	c, reply := s.stream(req)
	if reply.Code != 0 {
		return nil, nil, reply
	}
	headers, contents := map[string]*tar.Header{}, map[string]string{}
	for r := tar.NewReader(c); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			s.t.Fatal(err)
		}
		headers[h.Name], contents[h.Name] = h, string(b)
	}
	if _, err := s.agent.StreamResult(s.t.Context(), &guestv1.StreamResultRequest{Token: req.Token}); err != nil {
		s.t.Fatal(err)
	}
	return headers, contents, reply
}

func (s *sandbox) put(req *guestv1.ArchivePutStream, tarball []byte) error {
	s.t.Helper()
	r := &guestv1.StreamRequest{Request: &guestv1.StreamRequest_ArchivePut{ArchivePut: req}}
	c, reply := s.stream(r)
	if reply.Code != 0 {
		return status.Error(codes.Code(reply.Code), reply.Message)
	}
	_, _ = c.Write(tarball) // The result tells.
	_ = c.CloseWrite()
	_, err := s.agent.StreamResult(s.t.Context(), &guestv1.StreamResultRequest{Token: r.Token})
	return err
}

func tarball(t testing.TB, hs ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		content := []byte(nil)
		if h.Typeflag == tar.TypeReg {
			content = []byte("content of " + h.Name)
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchive(t *testing.T) {
	for _, state := range []string{"created", "running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			id := randomID()
			vol, volDir := volume(t, "vol")
			ro, _ := volume(t, "ro")
			s := start(t, append(attachments(t, busybox(t), id), vol, ro)...)
			req := request(t, id, "sleep", "1000")
			req.Mount.Mounts = []*guestv1.Mount{
				{Kind: guestv1.Mount_BIND, Destination: "/v", Ref: vol.Ref},
				{Kind: guestv1.Mount_BIND, Destination: "/ro", Ref: ro.Ref, ReadOnly: true},
			}
			if _, err := s.agent.Mount(t.Context(), req.Mount); err != nil {
				t.Fatal(err)
			}
			if state != "created" {
				s.launch(req)
			}
			if state == "stopped" {
				s.end(id)
			}
			_, c, reply := s.get(id, "/data/file")
			if c["file"] != "from the image\n" || reply.Stat.Name != "file" || reply.Stat.Size != 15 {
				t.Fatal(c, reply)
			}
			if h, _, _ := s.get(id, "/data"); h["data/"] == nil || h["data/deep/file"] == nil {
				t.Fatal(h)
			}
			if h, _, _ := s.get(id, "/data/."); h["./"] == nil && h["."] == nil || h["deep/file"] == nil && h["./deep/file"] == nil {
				t.Fatal(h)
			}
			if h, _, _ := s.get(id, "/bin/sh"); h["sh"] == nil || h["sh"].Typeflag != tar.TypeSymlink {
				t.Fatal(h)
			}
			if _, _, reply := s.get(id, "/nothing"); codes.Code(reply.Code) != codes.NotFound {
				t.Fatal(reply)
			}
			st, err := s.agent.StatPath(t.Context(), &guestv1.StatPathRequest{ContainerId: id, Path: "/bin/sh"})
			if err != nil || st.LinkTarget != "/bin/busybox" || os.FileMode(st.Mode)&os.ModeSymlink == 0 {
				t.Fatal(st, err)
			}
			ball := tarball(t,
				&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 7, Gid: 8},
				&tar.Header{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o4640, Uid: 5, Gid: 6, PAXRecords: map[string]string{"SCHILY.xattr.user.color": "red"}},
				&tar.Header{Name: "d/hard", Typeflag: tar.TypeLink, Linkname: "d/f", Mode: 0o4640, Uid: 5, Gid: 6},
				&tar.Header{Name: "d/soft", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
				&tar.Header{Name: "d/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666})
			if err := s.put(&guestv1.ArchivePutStream{ContainerId: id, Path: "/v"}, ball); err != nil {
				t.Fatal(err)
			}
			var a, b unix.Stat_t
			if unix.Stat(filepath.Join(volDir, "d/f"), &a) != nil || unix.Stat(filepath.Join(volDir, "d/hard"), &b) != nil || a.Ino != b.Ino || a.Uid != 5 || a.Mode&0o7777 != 0o640|0o4000 {
				t.Fatalf("%+v %+v", a, b)
			}
			h, _, _ := s.get(id, "/v/d")
			if h["d/f"] == nil || h["d/null"].Typeflag != tar.TypeChar || h["d/hard"].Typeflag != tar.TypeLink && h["d/f"].Typeflag != tar.TypeLink {
				t.Fatal(h)
			}
			for path, want := range map[string]string{"/ro": "mounted volume is marked read-only", "/etc/passwd": "extraction point is not a directory"} {
				if err := s.put(&guestv1.ArchivePutStream{ContainerId: id, Path: path}, ball); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
					t.Error(path, err)
				}
			}
			if err := s.put(&guestv1.ArchivePutStream{ContainerId: id, Path: "/data", ReadOnly: true}, ball); err == nil || !strings.Contains(err.Error(), "container rootfs is marked read-only") {
				t.Error(err)
			}
			if err := s.put(&guestv1.ArchivePutStream{ContainerId: id, Path: "/tmp", CopyUidGid: true, User: "alice"}, ball); err != nil {
				t.Fatal(err)
			}
			if h, _, _ := s.get(id, "/tmp/d/f"); h["f"] == nil || h["f"].Uid != 1000 || h["f"].Gid != 1000 {
				t.Fatal(h)
			}
		})
	}
}

// TestArchiveLinksStayInside is the regression test of CVE-2018-15664, CVE-2019-14271, CVE-2026-41567, CVE-2026-41568
// and CVE-2026-42306: no link of a container, put there before or while an archive is handled, leads out of it.
func TestArchiveLinksStayInside(t *testing.T) {
	id := randomID()
	vol, volDir := volume(t, "vol")
	s := start(t, append(attachments(t, busybox(t), id), vol)...)
	req := request(t, id, "sh", "-c", `
		ln -s /arca /out; ln -s ../../../../../../arca /up; ln -s /proc/1/root/arca /magic; mkdir /swap
		while :; do mv /swap /swap2; ln -s / /swap; rm /swap; mv /swap2 /swap; done`)
	req.Mount.Mounts = []*guestv1.Mount{{Kind: guestv1.Mount_BIND, Destination: "/v", Ref: vol.Ref}}
	s.launch(req)
	for {
		if _, err := s.agent.StatPath(t.Context(), &guestv1.StatPathRequest{ContainerId: id, Path: "/magic"}); err == nil {
			break
		}
	}
	for _, path := range []string{"/out/tools/runc", "/up/tools/runc", "/magic/tools/runc", "/../arca/tools/runc"} {
		if _, _, reply := s.get(id, path); codes.Code(reply.Code) != codes.NotFound {
			t.Errorf("%s: %v", path, reply)
		}
		if err := s.put(&guestv1.ArchivePutStream{ContainerId: id, Path: filepath.Dir(path)}, tarball(t)); status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
	ball := tarball(t, &tar.Header{Name: "mark", Typeflag: tar.TypeReg, Mode: 0o644}, &tar.Header{Name: "esc", Typeflag: tar.TypeSymlink, Linkname: "/"},
		&tar.Header{Name: "esc/deeper", Typeflag: tar.TypeReg, Mode: 0o644}, &tar.Header{Name: "../../above", Typeflag: tar.TypeReg, Mode: 0o644})
	for range 30 {
		_ = s.put(&guestv1.ArchivePutStream{ContainerId: id, Path: "/swap"}, ball) // Success or not: it stays inside.
		req := &guestv1.StreamRequest{Request: &guestv1.StreamRequest_ArchiveGet{ArchiveGet: &guestv1.ArchiveGetStream{ContainerId: id, Path: "/swap/etc"}}}
		c, _ := s.stream(req)
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	for _, name := range []string{"mark", "deeper", "above"} {
		for _, dir := range []string{s.dir, volDir, "/"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%s is at %s", name, dir)
			}
		}
	}
	s.end(id)
}

func TestSockets(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	req := request(t, id, "sh", "-c", "stat -c %a:%u:%g /run/s.sock; sleep 1000")
	req.Mount.Mounts = []*guestv1.Mount{{Kind: guestv1.Mount_SOCKET, Destination: "/run/s.sock", SocketId: "api", SocketMode: 0o660, SocketGid: 10}}
	s.launch(req)
	events, err := s.agent.Events(t.Context(), &guestv1.EventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/proc/%d/root/arca/containers/%s/m0", s.cmd.Process.Pid, id)
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"}) // As the container would.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "question\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	for {
		e, err := events.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if sc := e.GetSocketConnection(); sc != nil {
			if sc.SocketId != "api" || sc.ContainerId != id {
				t.Fatal(sc)
			}
			c, reply := s.stream(&guestv1.StreamRequest{Token: sc.Token, Request: &guestv1.StreamRequest_Socket{Socket: &guestv1.SocketStream{ContainerId: id}}})
			if reply.Code != 0 {
				t.Fatal(reply)
			}
			answer(t, c)
			break
		}
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "answer\n" {
		t.Fatal(string(b), err)
	}
	s.end(id)
}

func answer(t *testing.T, c *net.UnixConn) {
	t.Helper()
	b, err := io.ReadAll(c) // The half-close has come through.
	if err != nil || string(b) != "question\n" {
		t.Fatal(string(b), err)
	}
	if _, err := io.WriteString(c, "answer\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	_ = c.Close()
}
