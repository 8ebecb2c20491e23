package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestFind: a file is found in whatever package has it, through links that cross packages.
func TestFind(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{a + "/lib/real.so.1.2": "x", b + "/usr/share/f": "y"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{a + "/lib/real.so.1": "real.so.1.2", b + "/usr/link": "/lib/real.so.1"} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	u := &unpacked{dirs: []string{a, b}, used: map[string]bool{}}
	if got, err := u.find("nowhere", "usr/link"); err != nil || got != a+"/lib/real.so.1.2" {
		t.Errorf("got %s, %v", got, err)
	}
	if !u.used[a] || u.used[b] {
		t.Errorf("used: %v", u.used)
	}
	if _, err := u.find("nowhere"); err == nil {
		t.Error("what is nowhere was found")
	}
}

// TestDockerfile: the Dockerfile has the same packages, programs and files.
func TestDockerfile(t *testing.T) {
	b, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]string{packages, programs, files} {
		for _, s := range list {
			if !regexp.MustCompile(`[\s"/]` + regexp.QuoteMeta(s) + `[\s";]`).Match(b) {
				t.Errorf("the Dockerfile lacks %s", s)
			}
		}
	}
}

// TestImage: what was built has all programs and is small.
func TestImage(t *testing.T) {
	const built = "../../bin/helper-image.tar"
	info, err := os.Stat(built)
	if err != nil {
		t.Skip("the helper's image is not built")
	}
	if info.Size() > 100<<20 {
		t.Errorf("the image has %d MB", info.Size()>>20)
	}
	img, err := tarball.ImageFromPath(built, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	contents := mutate.Extract(img)
	defer func() { _ = contents.Close() }()
	for tr := tar.NewReader(contents); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		found[name] = true
		for _, bad := range []string{"usr/bin/sh", "usr/bin/python3", "usr/bin/perl"} {
			if name == bad {
				t.Errorf("the image has %s", bad)
			}
		}
	}
	for _, list := range [][]string{programs, files, {"usr/bin/arca-network", "usr/share/doc/ovn-common/copyright"}} {
		for _, f := range list {
			if !found[f] {
				t.Errorf("the image lacks %s", f)
			}
		}
	}
}
