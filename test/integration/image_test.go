//go:build integration

package integration

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

func TestPull(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "pull", "redis").OK().OutHas("Using default tag: latest", "Pulling from library/redis", "Pull complete", "Digest: sha256:", "Status: ", "docker.io/library/redis:latest")
	arca.Docker(t, "pull", "redis").OK().OutHas("Status: Image is up to date for redis:latest")
	arca.Docker(t, "pull", "-q", "redis:7").OK().Out("docker.io/library/redis:7\n")
	digest := arca.Inspect(t, "redis", "{{index .RepoDigests 0}}")
	if !strings.HasPrefix(digest, "redis@sha256:") {
		t.Fatalf("digest %q", digest)
	}
	arca.Docker(t, "pull", digest).OK()
	arca.Docker(t, "run", "--rm", digest, "redis-server", "--version").OK().OutHas("Redis server v=7")
}

func TestPullFails(t *testing.T) {
	t.Parallel()
	direct := strings.TrimPrefix(arca.Mirror, "http://") + "/library/busybox"
	for image, sentence := range map[string]string{
		"no-such-image":         "connection refused", // what the mirror lacks is asked of Docker Hub
		direct + ":no-such-tag": "not found",
		"localhost:1/x":         "connection refused",
		"UPPER":                 "must be lowercase",
		"busybox@sha256:abc":    "invalid reference format",
		direct + "@sha256:" + strings.Repeat("0", 64): "not found",
	} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			arca.Docker(t, "pull", image).Exit(1).ErrHas(sentence)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "pull", "--platform", "linux/arm64", "platforms").OK()
	if got := arca.Inspect(t, "platforms", "{{.Os}}/{{.Architecture}} {{.Config.Labels.architecture}}"); got != "linux/arm64 arm64" {
		t.Error(got)
	}
	arca.Docker(t, "pull", "--platform", "linux/s390x", strings.TrimPrefix(arca.Mirror, "http://")+"/library/platforms").Exit(1).ErrHas("no matching manifest for linux/s390x")
}

func TestImages(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "pull", "-q", "hello-world").OK()
	repository := "example.com/deep/er/" + harness.Name(t)
	arca.Docker(t, "tag", "hello-world", repository+":one").OK()
	arca.Docker(t, "tag", "hello-world", repository+":two").OK()
	id := arca.Inspect(t, "hello-world", "{{.Id}}")
	arca.Docker(t, "images", "--format", "{{.Tag}} {{.ID}}", repository).OK().OutHas("one "+id[7:19], "two "+id[7:19])
	arca.Docker(t, "images", "-q", "--no-trunc", "--filter", "reference="+repository+":one").OK().Out(id + "\n")
	arca.Docker(t, "images", "--filter", "no-such=1").Exit(1).ErrHas("invalid filter 'no-such'")
	arca.Docker(t, "history", "--format", "{{.CreatedBy}}", "layers30").OK()
	arca.Docker(t, "image", "inspect", repository+":one").OK()
	arca.Docker(t, "rmi", repository+":one").OK().Out("Untagged: " + repository + ":one\n")
	arca.Docker(t, "rmi", repository+":one").Exit(1).ErrHas("No such image: " + repository + ":one")
	arca.Docker(t, "tag", "no-such-image-here", "x").Exit(1).ErrHas("No such image: no-such-image-here:latest")
	arca.Docker(t, "rmi", repository+":two").OK()
}

func TestRemoveImageConflicts(t *testing.T) {
	t.Parallel()
	tag := harness.Name(t) + ":x"
	arca.Docker(t, "pull", "-q", "mariadb").OK()
	arca.Docker(t, "tag", "mariadb", tag).OK()
	name := arca.Container(t)
	arca.Docker(t, "create", "--name", name, tag, "true").OK()
	id := arca.Inspect(t, "mariadb", "{{.Id}}")
	short := id[7:19]
	arca.Docker(t, "rmi", short).Exit(1).ErrHas("conflict: unable to delete " + short + " (must be forced) - image is referenced in multiple repositories")
	arca.Docker(t, "rmi", "mariadb").OK().OutHas("Untagged: mariadb:latest\n", "Untagged: mariadb@sha256:").OutLacks("Deleted")
	arca.Docker(t, "rmi", tag).Exit(1).ErrHas("conflict: unable to remove repository reference \"" + tag + "\" (must force) - container ")
	arca.Docker(t, "rm", name).OK()
	arca.Docker(t, "rmi", tag).OK().OutHas("Untagged: "+tag, "Deleted: "+id)
	arca.Docker(t, "inspect", "--type", "image", id).Exit(1)
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	tag := harness.Name(t) + ":saved"
	arca.Docker(t, "pull", "-q", "layers30").OK()
	arca.Docker(t, "tag", "layers30", tag).OK()
	file := filepath.Join(t.TempDir(), "image.tar")
	arca.Docker(t, "save", "-o", file, tag).OK()
	arca.Docker(t, "rmi", tag).OK()
	arca.Docker(t, "load", "-i", file).OK().OutHas("Loaded image: " + tag)
	arca.Docker(t, "run", "--rm", tag, "cat", "/top").OK().Out("30\n")
	arca.Docker(t, "rmi", tag).OK()
	arca.DockerInput(t, "this is no archive", "load").Exit(1)
}

// A pull that is cut leaves nothing half-made and can be taken up.
func TestPullCut(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	_ = arca.Command(ctx, "pull", "big100").Run()
	arca.Docker(t, "pull", "big100").OK()
	arca.Docker(t, "run", "--rm", "big100", "sh", "-c", "ls /data | wc -l").OK().Out("100\n")
	arca.Docker(t, "rmi", "big100").OK()
}
