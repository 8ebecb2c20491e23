package flatpkg

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var built = time.Unix(1_700_000_000, 0)

// stage makes a staging directory with more files than a leaf of a Bom holds.
func stage(t *testing.T) (root, scripts string, files map[string]string) {
	t.Helper()
	root, scripts = t.TempDir(), t.TempDir()
	files = map[string]string{"usr/local/bin/arca": "program", "Library/LaunchAgents/a & b.plist": "<plist/>", "empty": ""}
	for i := range bomPerLeaf {
		files[fmt.Sprintf("usr/local/share/arca/many/%03d", i)] = strings.Repeat("x", i)
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("bin/arca", filepath.Join(root, "usr/local/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(scripts, "postinstall"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root, scripts, files
}

func spec(root, scripts string) Spec {
	return Spec{Identifier: "com.arca.test", Version: "1.2.3", Title: "A & B", Root: root, Scripts: scripts, Arch: "arm64", MinimumOS: "14.0", BuildTime: built, Component: "arca.pkg"}
}

// tool finds a program that reads what we write.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("none of %v is installed", names)
	return ""
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func write(t *testing.T, s Spec) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "arca.pkg")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReadBack has independent tools take a package apart.
func TestReadBack(t *testing.T) {
	for _, tc := range []struct {
		reader  string
		names   []string
		extract func(t *testing.T, tool, pkg, dir string)
	}{
		{"bsdtar", []string{"bsdtar"}, func(t *testing.T, tool, pkg, dir string) { run(t, dir, tool, "-xf", pkg) }},
		{"7z", []string{"7z", "7zz", "7zr"}, func(t *testing.T, tool, pkg, dir string) { run(t, dir, tool, "x", "-txar", pkg) }},
	} {
		t.Run(tc.reader, func(t *testing.T) {
			program := tool(t, tc.names...)
			root, scripts, files := stage(t)
			dir := t.TempDir()
			tc.extract(t, program, write(t, spec(root, scripts)), dir)
			dist, err := os.ReadFile(filepath.Join(dir, "Distribution"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"<title>A &amp; B</title>", `version="1.2.3"`, `min="14.0"`, "#arca.pkg<"} {
				if !strings.Contains(string(dist), want) {
					t.Errorf("Distribution lacks %q", want)
				}
			}
			info, err := os.ReadFile(filepath.Join(dir, "arca.pkg", "PackageInfo"))
			if err != nil || !strings.Contains(string(info), `<postinstall file="./postinstall"/>`) || strings.Contains(string(info), "preinstall") {
				t.Errorf("PackageInfo: %v\n%s", err, info)
			}
			payload := t.TempDir()
			cpio := exec.CommandContext(t.Context(), tool(t, "bsdtar"), "-xf", filepath.Join(dir, "arca.pkg", "Payload"))
			cpio.Dir = payload
			if out, err := cpio.CombinedOutput(); err != nil {
				t.Fatalf("payload: %v\n%s", err, out)
			}
			for name, want := range files {
				if got, err := os.ReadFile(filepath.Join(payload, name)); err != nil || string(got) != want {
					t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
				}
			}
			if target, err := os.Readlink(filepath.Join(payload, "usr/local/link")); err != nil || target != "bin/arca" {
				t.Errorf("link: %q, %v", target, err)
			}
		})
	}
}

func TestSameInputSameOutput(t *testing.T) {
	root, scripts, _ := stage(t)
	a, err := os.ReadFile(write(t, spec(root, scripts)))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(write(t, spec(root, scripts))); err != nil || !bytes.Equal(a, b) {
		t.Errorf("two packages of the same input differ (%v)", err)
	}
}

func TestScriptMustBeExecutable(t *testing.T) {
	root, scripts, _ := stage(t)
	if err := os.Chmod(filepath.Join(scripts, "postinstall"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(io.Discard, spec(root, scripts)); err == nil || !strings.Contains(err.Error(), "postinstall is not executable") {
		t.Errorf("%v", err)
	}
}

// TestBom walks the tree of a Bom as lsbom does.
func TestBom(t *testing.T) {
	root, _, files := stage(t)
	all, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	b := makeBom(all, built)
	u32 := func(b []byte, at int) int { return int(binary.BigEndian.Uint32(b[at:])) }
	index := b[u32(b, 16):][:u32(b, 20)]
	block := func(n int) []byte { return b[u32(index, 4+8*n):][:u32(index, 8+8*n)] }
	names := b[u32(b, 24):][:u32(b, 28)]
	vars := map[string]int{}
	for at, n := 4, u32(names, 0); n > 0; n-- {
		size := int(names[at+4])
		vars[string(names[at+5:at+5+size])] = u32(names, at)
		at += 5 + size
	}
	if got := slices.Sorted(maps.Keys(vars)); !slices.Equal(got, []string{"BomInfo", "HLIndex", "Paths", "Size64", "VIndex"}) {
		t.Fatalf("names: %v", got)
	}
	node := block(u32(block(vars["Paths"]), 8))
	for binary.BigEndian.Uint16(node) == 0 {
		node = block(u32(node, 12)) // the first child.
	}
	paths := map[int]string{0: ""}
	sums := map[string]uint32{}
	count := 0
	for {
		for i := range int(binary.BigEndian.Uint16(node[2:])) {
			info, key := block(u32(node, 12+8*i)), block(u32(node, 16+8*i))
			path := filepath.Join(paths[u32(key, 0)], string(key[4:len(key)-1]))
			paths[u32(info, 0)] = path
			detail := block(u32(info, 4))
			sums[path] = uint32(u32(detail, 23))
			count++
		}
		next := u32(node, 4)
		if next == 0 {
			break
		}
		node = block(next)
	}
	if count != len(all) {
		t.Errorf("%d paths, want %d", count, len(all))
	}
	for name, text := range files {
		if sum, ok := sums[name]; !ok || sum != cksum([]byte(text)) {
			t.Errorf("%s: checksum %d, there %v", name, sum, ok)
		}
	}
}

func TestCksum(t *testing.T) {
	for text, want := range map[string]uint32{"": 4294967295, "hello": 3287646509} { // as cksum(1) says.
		if got := cksum([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// FuzzArchive wants every name and content back.
func FuzzArchive(f *testing.F) {
	f.Add("a/b", []byte("text"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if strings.ContainsRune(name, 0) || len(name) > 1000 {
			t.Skip()
		}
		packed, err := archive([]entry{{path: name, mode: typeRegular | 0o644, data: data}}, built)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		const header = 76
		if got := raw[header : header+len(name)]; string(got) != name || !bytes.HasPrefix(raw[header+len(name)+1:], data) {
			t.Errorf("%q came back as %q", name, got)
		}
	})
}
