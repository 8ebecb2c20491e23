package blockdev

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

func TestFind(t *testing.T) {
	class := t.TempDir()
	for name, serial := range map[string]string{"vda": "aaaa", "vdb": "bbbb\n"} {
		if err := os.MkdirAll(filepath.Join(class, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(class, name, "serial"), []byte(serial), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if dev, err := find(ctx, class, "bbbb"); dev != "/dev/vdb" || err != nil {
		t.Errorf("%q, %v", dev, err)
	}
	if _, err := find(ctx, class, "cccc"); !errdefs.IsNotFound(err) {
		t.Errorf("an absent disk: %v", err)
	}
	for _, bad := range []string{"", "../x", "123456789012345678901"} {
		if _, err := find(ctx, class, bad); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
