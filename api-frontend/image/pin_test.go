package image_test

import (
	"os"
	"testing"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
)

// TestContainersKeepTheLayersOfARemovedImage: `docker rmi -f` of an image under a stopped container leaves the
// container startable; its removal frees the layers.
func TestContainersKeepTheLayersOfARemovedImage(t *testing.T) {
	name := imagetest.NewRegistry(t).Push("app:v1", imagetest.Small(t))
	e := newEngine(t)
	e.mustPull(name)
	img, err := e.Resolve(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	var disks []string
	for _, l := range img.Layers {
		disks = append(disks, l.DiskID)
	}
	e.users = []image.User{{ID: "c", ImageID: img.ID, Disks: disks}}
	if _, err := e.Remove(t.Context(), name, image.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := e.Collect(disks); err != nil {
		t.Fatal(err)
	}
	for _, path := range e.DiskPaths(img) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the container stands on a layer that is gone: %v", err)
		}
	}
	e.users = nil
	if err := e.Collect(disks); err != nil {
		t.Fatal(err)
	}
	for _, path := range e.DiskPaths(img) {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("a layer that nobody has is left: %v", err)
		}
	}
}

// TestHoldKeepsLayersWhileAContainerIsMade: an image that is removed between its resolution and the commit of the
// container does not take the layers along.
func TestHoldKeepsLayersWhileAContainerIsMade(t *testing.T) {
	name := imagetest.NewRegistry(t).Push("app:v1", imagetest.Small(t))
	e := newEngine(t)
	e.mustPull(name)
	img, err := e.Resolve(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	release, ok := e.Hold(img)
	if !ok {
		t.Fatal("the layers of an image that is there cannot be held")
	}
	if _, err := e.Remove(t.Context(), name, image.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, path := range e.DiskPaths(img) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a held layer is gone: %v", err)
		}
	}
	release()
	if err := e.Collect([]string{img.Layers[0].DiskID}); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.Hold(img); ok {
		t.Error("layers that are gone can be held")
	}
}
