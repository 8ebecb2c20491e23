//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// TestCommit: what a container added, changed and deleted is a layer of the new image, whose configuration is the
// container's with the changes.
func TestCommit(t *testing.T) {
	t.Parallel()
	name := harness.Name(t)
	image := strings.ToLower(name) + "-image"
	arca.Docker(t, "run", "-d", "--name", name, "-e", "A=1", "-v", "/volume", "busybox", "sh", "-c",
		"mkdir /new && echo one > /new/f && echo kept > /volume/f && rm -r /etc/passwd && ln -s /new/f /link; echo ready; sleep 1000").OK()
	defer arca.Docker(t, "rm", "-f", "-v", name)
	harness.Eventually(t, 10*time.Second, func() error {
		if out := arca.Docker(t, "logs", name).OK().Stdout; out != "ready\n" {
			return fmt.Errorf("it says %q", out)
		}
		return nil
	})
	id := strings.TrimSpace(arca.Docker(t, "commit", "-a", "me", "-m", "why", "-c", `CMD ["cat", "/new/f", "/link"]`, "-c", "ENV B=2", name, image).OK().Stdout)
	defer arca.Docker(t, "rmi", "-f", image)
	if got := arca.Inspect(t, name, "{{.State.Status}}"); got != "running" {
		t.Errorf("the container is %s afterwards", got)
	}
	if got := arca.Inspect(t, image, "{{.Id}} {{.Author}} {{.Comment}} {{len .RootFS.Layers}}"); got != id+" me why 2" {
		t.Error(got)
	}
	arca.Docker(t, "run", "--rm", image).OK().Out("one\none\n")
	arca.Docker(t, "run", "--rm", image, "sh", "-c", "echo $A$B; ls /etc/passwd /volume/f 2>&1 | wc -l").OK().Out("12\n2\n")
	arca.Docker(t, "history", "--no-trunc", image).OK().OutHas("why", "sleep 1000")
	// A commit of a commit, of a container that has ended, that changes nothing.
	arca.Docker(t, "run", "--name", name+"-2", image, "true").OK()
	defer arca.Docker(t, "rm", "-f", name+"-2")
	again := strings.TrimSpace(arca.Docker(t, "commit", name+"-2").OK().Stdout)
	defer arca.Docker(t, "rmi", "-f", again)
	arca.Docker(t, "run", "--rm", again, "cat", "/new/f").OK().Out("one\n")
	// It can leave the machine.
	tar := filepath.Join(t.TempDir(), "image.tar")
	arca.Docker(t, "save", "-o", tar, image).OK()
	if st, err := os.Stat(tar); err != nil || st.Size() == 0 {
		t.Error(err)
	}
	arca.Docker(t, "commit", "-c", "RUN x", name).Exit(1).ErrHas("run is not a valid change command")
	arca.Docker(t, "commit", "no-such-container").Exit(1).ErrHas("No such container: no-such-container")
}

// TestImportWithChanges: an archive becomes an image with a configuration.
func TestImportWithChanges(t *testing.T) {
	t.Parallel()
	name := harness.Name(t)
	image := strings.ToLower(name)
	tar := filepath.Join(t.TempDir(), "root.tar")
	arca.Docker(t, "create", "--name", name, "busybox", "true").OK()
	defer arca.Docker(t, "rm", "-f", name)
	arca.Docker(t, "export", "-o", tar, name).OK()
	arca.Docker(t, "import", "-c", "ENV A=x", "-c", "ENTRYPOINT [\"sh\", \"-c\"]", "-c", "CMD [\"echo $A\"]", "-m", "why", tar, image).OK()
	defer arca.Docker(t, "rmi", "-f", image)
	arca.Docker(t, "run", "--rm", image).OK().Out("x\n")
	arca.Docker(t, "import", "-c", "FROM x", tar).Exit(1).ErrHas("from is not a valid change command")
}
