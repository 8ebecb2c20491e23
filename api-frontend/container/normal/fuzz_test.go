package normal

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func FuzzCreate(f *testing.F) {
	f.Add(everything, "1.51")
	f.Add(`{"Image":"i","HostConfig":{"NetworkMode":"container:web"}}`, "1.40")
	f.Add(`{"HostConfig":{"Mounts":[{}],"Ulimits":[null],"BlkioWeightDevice":[null]},"NetworkingConfig":{"EndpointsConfig":{"a":null}}}`, "1.24")
	for _, body := range refusals {
		f.Add(body, "1.43")
	}
	f.Fuzz(func(t *testing.T, body, version string) {
		var req Request
		if json.Unmarshal([]byte(body), &req) != nil {
			return
		}
		c, _, err := Create(&req, busybox(), fakeWorld(), version, "nn")
		if err != nil {
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
				t.Fatalf("an error without class: %v", err)
			}
			return
		}
		if _, err := json.Marshal(c); err != nil {
			t.Fatal(err)
		}
		checkPoints(t, c.Mounts)
	})
}

func FuzzBind(f *testing.F) {
	for _, s := range []string{"/a:/b", "/a:/b:ro", "v1:/b:nocopy,z", "/a", "a:b:c:d", ":", "/a:/b:ro,ro", "//:/x", "/a:/../../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m, _, err := parseBind(raw, "")
		if err != nil {
			return
		}
		p := Prepared{env: fakeWorld()}
		mp, err := p.point(&m)
		if err == nil {
			checkPoints(t, []record.MountPoint{mp})
		}
	})
}

// checkPoints holds what everything after the normal form relies upon.
func checkPoints(t *testing.T, ms []record.MountPoint) {
	t.Helper()
	for i, m := range ms {
		if !path.IsAbs(m.Destination) || path.Clean(m.Destination) != m.Destination || m.Destination == "/" || strings.IndexByte(m.Destination, 0) >= 0 {
			t.Fatalf("destination %q", m.Destination)
		}
		if i > 0 && ms[i-1].Destination >= m.Destination {
			t.Fatalf("mounts are not in order: %q after %q", m.Destination, ms[i-1].Destination)
		}
		switch m.Type {
		case "bind":
			if !path.IsAbs(m.Source) || path.Clean(m.Source) != m.Source || m.Propagation == "" || strings.IndexByte(m.Source, 0) >= 0 {
				t.Fatalf("bind %+v", m)
			}
		case "volume":
			if !namePattern.MatchString(m.Name) || strings.HasPrefix(m.Subpath, "/") || strings.HasPrefix(path.Clean(m.Subpath), "..") {
				t.Fatalf("volume %+v", m)
			}
		case "tmpfs":
		default:
			t.Fatalf("type %q", m.Type)
		}
	}
}

func FuzzLists(f *testing.F) {
	f.Add("0,3-4,7", "noexec,size=4k", "c 1:* rwm", "a:1.2.3.4", "web:ro")
	f.Fuzz(func(_ *testing.T, list, tmpfs, device, host, from string) {
		_, _ = parseList(list)
		_, _ = mergeTmpfs(splitOptions(tmpfs))
		_, _ = ParseDeviceRule(device)
		_ = checkExtraHost(host)
		_, _, _ = parseVolumesFrom(from)
	})
}
