package oci

import (
	"os"
	"path/filepath"
	"testing"

	types "github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func TestHostDevices(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	devs, err := HostDevices{}.At(link)
	if err != nil || len(devs) != 1 || devs[0].Path != link || devs[0].Major != 1 || devs[0].Minor != 3 || devs[0].Type != "c" {
		t.Errorf("%+v %v", devs, err)
	}
	all, err := HostDevices{}.All()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range all {
		seen[d.Path] = true
	}
	if !seen["/dev/null"] || seen["/dev/console"] || seen["/dev/pts/0"] {
		t.Errorf("%v", seen)
	}
	if _, err := (HostDevices{}).At(t.TempDir()); err == nil {
		t.Error("an empty directory is a device")
	}
	c := plain(func(c *record.Container) {
		c.HostConfig.Devices = []types.DeviceMapping{{PathOnHost: "/dev/nope", PathInContainer: "/dev/nope", CgroupPermissions: "rwm"}}
	})
	want := `error gathering device information while adding custom device "/dev/nope": no such file or directory`
	if _, err := Spec(c, &World{Devices: HostDevices{}}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
