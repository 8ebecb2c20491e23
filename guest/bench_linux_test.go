package main

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// BenchmarkBoot measures an agent from its start to its first answer, and its memory when it has nothing to do.
func BenchmarkBoot(b *testing.B) {
	var total time.Duration
	for b.Loop() {
		s := start(b)
		total += s.booted
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) > 1 && (f[0] == "VmRSS:" || f[0] == "RssAnon:") {
				n, _ := strconv.ParseFloat(f[1], 64)
				b.ReportMetric(n/1024, f[0]+"MB")
			}
		}
		s.stop()
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms-to-answer")
}

// BenchmarkStart measures Start, and the whole run of a container that does nothing.
func BenchmarkStart(b *testing.B) {
	id := randomID()
	s := start(b, attachments(b, busybox(b), id)...)
	var started time.Duration
	for b.Loop() {
		begun := time.Now()
		s.launch(request(b, id, "true"))
		started += time.Since(begun)
		s.exit(id, "")
		s.acknowledge(id, "")
	}
	b.ReportMetric(float64(started.Microseconds())/1000/float64(b.N), "ms-start")
}

// BenchmarkNetwork measures what the network of a container adds to the start of a new sandbox's first one.
func BenchmarkNetwork(b *testing.B) {
	root := busybox(b)
	var phases [2]time.Duration
	var rounds int
	for b.Loop() {
		for i := range phases {
			id := randomID()
			s := start(b, attachments(b, root, id)...)
			req := request(b, id, "sleep", "1000")
			if i == 1 {
				s.link("endpoint1", outside(b), "10.9.0.1/24")
				req.NetworkConfig, req.Names = frontNetwork(), frontNames()
				req.NetworkConfig.Interfaces[0].Gateway6 = ""
			}
			res, err := s.agent.Start(b.Context(), req)
			if err != nil {
				b.Fatal(err)
			}
			for _, p := range res.Phases {
				if p.Name == "network" {
					phases[i] += time.Duration(p.Nanoseconds)
				}
			}
		}
		rounds++ // The sandboxes live on: the end of one keeps the kernel's lock of networks for long.
	}
	b.ReportMetric(float64(phases[0].Microseconds())/float64(rounds), "µs-none")
	b.ReportMetric(float64(phases[1].Microseconds())/float64(rounds), "µs-network")
}

// BenchmarkExec measures the whole run of an exec that does nothing.
func BenchmarkExec(b *testing.B) {
	id := randomID()
	s := start(b, attachments(b, busybox(b), id)...)
	s.launch(request(b, id, "sleep", "1000"))
	for b.Loop() {
		s.exec(id, "true")
	}
}

// BenchmarkOutput measures the way from a process's pipe to the reader's socket.
func BenchmarkOutput(b *testing.B) {
	const size = 512 << 20
	id := randomID()
	s := start(b, attachments(b, busybox(b), id)...)
	b.SetBytes(size)
	buf := make([]byte, guestwire.MaxData)
	for b.Loop() {
		s.launch(request(b, id, "dd", "if=/dev/zero", "bs=1M", "count=512"))
		c, _ := s.stream(&guestv1.StreamRequest{Request: &guestv1.StreamRequest_Output{Output: &guestv1.OutputStream{ContainerId: id}}})
		var h [guestwire.HeaderSize]byte
		var ack [guestwire.AckSize]byte
		for {
			if _, err := io.ReadFull(c, h[:]); err != nil {
				b.Fatal(err)
			}
			f, err := guestwire.ParseHeader(h[:])
			if err != nil {
				b.Fatal(err)
			}
			if f.Stream == guestwire.End {
				break
			}
			if _, err := io.ReadFull(c, buf[:f.Length]); err != nil {
				b.Fatal(err)
			}
			guestwire.PutAck(ack[:], f.Stream, f.Offset+uint64(f.Length))
			if _, err := c.Write(ack[:]); err != nil {
				b.Fatal(err)
			}
		}
		_ = c.Close()
		s.exit(id, "")
		s.acknowledge(id, "")
	}
}

// BenchmarkArchive measures a big file out of a container and a big file into one.
func BenchmarkArchive(b *testing.B) {
	const size = 256 << 20
	id := randomID()
	s := start(b, attachments(b, busybox(b), id)...)
	s.run(request(b, id, "sh", "-c", "head -c 268435456 /dev/zero > /big"))
	b.Run("get", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			c, _ := s.stream(&guestv1.StreamRequest{Request: &guestv1.StreamRequest_ArchiveGet{ArchiveGet: &guestv1.ArchiveGetStream{ContainerId: id, Path: "/big"}}})
			buf := make([]byte, 1<<20)
			for {
				if _, err := c.Read(buf); err != nil {
					break
				}
			}
			_ = c.Close()
		}
	})
	b.Run("put", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			req := &guestv1.StreamRequest{Request: &guestv1.StreamRequest_ArchivePut{ArchivePut: &guestv1.ArchivePutStream{ContainerId: id, Path: "/tmp"}}}
			c, _ := s.stream(req)
			writeBig(b, c, size)
			_ = c.CloseWrite()
			s.result(req.Token)
			_ = c.Close()
		}
	})
}

func writeBig(b *testing.B, w io.Writer, size int64) {
	b.Helper()
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		b.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range size >> 20 {
		if _, err := t.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	if err := t.Close(); err != nil {
		b.Fatal(err)
	}
}
