package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

var now = time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)

func sample(i int) *record.Container {
	return &record.Container{
		ID: fmt.Sprintf("%02x%062x", i, i), Name: fmt.Sprintf("name-%d", i), Created: now.Add(-time.Hour + time.Duration(i)*time.Second),
		Image: "busybox:latest", ImageID: "sha256:" + strings.Repeat("e", 64), Platform: record.Platform{OS: "linux", Architecture: "amd64"},
		Path: "sh", Args: []string{"-c", "echo 1"},
		Config: &container.Config{
			Hostname: "h", Cmd: []string{"-c", "echo 1"}, Entrypoint: []string{"sh"}, Image: "busybox:latest", Env: []string{"A=b"},
			Labels: map[string]string{"app": "web", "n": fmt.Sprint(i)}, ExposedPorts: network.PortSet{network.MustParsePort("80/tcp"): {}},
			Volumes: map[string]struct{}{},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "bridge", Annotations: map[string]string{"a": "b"}, IpcMode: "private", CgroupnsMode: "private",
			RestartPolicy: container.RestartPolicy{Name: "no"}, LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{}},
			DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
		},
		Networking: map[string]*network.EndpointSettings{"bridge": {}},
		Mounts: []record.MountPoint{
			{Type: mount.TypeVolume, Name: "vol", Driver: "local", Source: "/v/vol/_data", Destination: "/data", RW: true, Mode: "z"},
			{Type: mount.TypeTmpfs, Destination: "/run", Unlisted: true},
		},
		State: record.State{Status: record.Running, Pid: 7, StartedAt: now.Add(-5 * time.Minute)},
	}
}

func TestInspectMeetsTheSpecification(t *testing.T) {
	c := sample(1)
	c.State.Health = &container.Health{Status: "healthy", Log: []*container.HealthcheckResult{{Start: now, End: now, Output: "ok"}}}
	size := int64(5)
	raw, err := json.Marshal(NewInspect(c, &Facts{SizeRw: &size, SizeRootFs: &size, ExecIDs: nil}))
	if err != nil {
		t.Fatal(err)
	}
	speccheck.Answer(t, "GET", "/containers/{id}/json", 200, raw)
}

func TestListMeetsTheSpecification(t *testing.T) {
	size := int64(5)
	var entries []*Entry
	for i := range 3 {
		e, err := NewEntry(sample(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	raw, err := Render(entries, now, true, func(*record.Container) (EntryFacts, error) {
		return EntryFacts{SizeRw: &size, SizeRootFs: &size}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	speccheck.Answer(t, "GET", "/containers/json", 200, raw)
	var got []container.Summary
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	s := got[0]
	if s.Status != "Up 5 minutes" || s.Command != "sh -c 'echo 1'" || s.SizeRw != 5 || s.Names[0] != "/name-0" || len(s.Mounts) != 1 ||
		len(s.Ports) != 1 || s.HostConfig.Annotations["a"] != "b" {
		t.Errorf("%+v", s)
	}
	raw, err = Render(entries[:1], now, false, func(*record.Container) (EntryFacts, error) {
		return EntryFacts{Image: "a\"<é>"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	if err := json.Unmarshal(raw, &got); err != nil || got[0].Image != "a\"<é>" || got[0].HostConfig.Annotations != nil {
		t.Errorf("%v %s", err, raw)
	}
}

func TestStatus(t *testing.T) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := []struct {
		s    record.State
		want string
	}{
		{record.State{Status: record.Created}, "Created"},
		{record.State{Status: record.Running, StartedAt: ago(5 * time.Minute)}, "Up 5 minutes"},
		{record.State{Status: record.Running, StartedAt: ago(500 * time.Millisecond)}, "Up Less than a second"},
		{record.State{Status: record.Running, StartedAt: ago(time.Hour), Health: &container.Health{Status: "healthy"}}, "Up About an hour (healthy)"},
		{record.State{Status: record.Running, StartedAt: ago(time.Second), Health: &container.Health{Status: "starting"}}, "Up 1 second (health: starting)"},
		{record.State{Status: record.Running, StartedAt: ago(time.Second), Health: &container.Health{}}, "Up 1 second (unhealthy)"},
		{record.State{Status: record.Paused, StartedAt: ago(2 * time.Minute)}, "Up 2 minutes (Paused)"},
		{record.State{Status: record.Restarting, ExitCode: 3, FinishedAt: ago(4 * time.Second)}, "Restarting (3) 4 seconds ago"},
		{record.State{Status: record.Exited, ExitCode: 137, FinishedAt: ago(3 * time.Second)}, "Exited (137) 3 seconds ago"},
		{record.State{Status: record.Exited}, ""},
		{record.State{Status: record.Removing}, "Removal In Progress"},
		{record.State{Status: record.Dead}, "Dead"},
	}
	for _, tc := range tests {
		if got := Status(&tc.s, now); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.s, got, tc.want)
		}
	}
}

func names(cs []*record.Container) string {
	var n []string
	for _, c := range cs {
		n = append(n, strings.TrimPrefix(c.Name, "name-"))
	}
	return strings.Join(n, " ")
}

// four are containers 0 to 3: 0 running, 1 exited with 3, 2 created, 3 paused.
func four() []*record.Container {
	cs := []*record.Container{sample(0), sample(1), sample(2), sample(3)}
	cs[1].State = record.State{Status: record.Exited, ExitCode: 3, StartedAt: now, FinishedAt: now}
	cs[2].State = record.State{Status: record.Created}
	cs[3].State.Status = record.Paused
	cs[3].ImageID = "sha256:other"
	cs[3].Networking = map[string]*network.EndpointSettings{"none": {NetworkID: "abc"}}
	cs[0].State.Health = &container.Health{Status: "healthy"}
	return cs
}

func TestList(t *testing.T) {
	tests := []struct {
		o    ListOptions
		want string
	}{
		{ListOptions{}, "3 0"},
		{ListOptions{All: true}, "3 2 1 0"},
		{ListOptions{Limit: 2}, "3 2"},
		{ListOptions{Filters: filter.Of("status", "exited")}, "1"},
		{ListOptions{Filters: filter.Of("exited", "3"), All: true}, "1"},
		{ListOptions{Filters: filter.Of("exited", "0"), All: true}, ""},
		{ListOptions{Filters: filter.Of("name", "name-[12]"), All: true}, "2 1"},
		{ListOptions{Filters: filter.Of("name", "^/name-1$"), All: true}, "1"},
		{ListOptions{Filters: filter.Of("id", "02"), All: true}, "2"},
		{ListOptions{Filters: filter.Of("id", "0"), All: true}, ""},
		{ListOptions{Filters: filter.Of("label", "n=2"), All: true}, "2"},
		{ListOptions{Filters: filter.Of("label", "app"), All: true}, "3 2 1 0"},
		{ListOptions{Filters: filter.Of("label", "no"), All: true}, ""},
		{ListOptions{Filters: filter.Of("health", "healthy"), All: true}, "0"},
		{ListOptions{Filters: filter.Of("health", "none"), All: true}, "3 2 1"},
		{ListOptions{Filters: filter.Of("before", "name-2"), All: true}, "1 0"},
		{ListOptions{Filters: filter.Of("since", "/name-1"), All: true}, "3 2"},
		{ListOptions{Filters: filter.Of("ancestor", "other"), All: true}, "3"},
		{ListOptions{Filters: filter.Of("ancestor", "nothing"), All: true}, ""},
		{ListOptions{Filters: filter.Of("volume", "vol")}, "3 0"},
		{ListOptions{Filters: filter.Of("volume", "/data")}, "3 0"},
		{ListOptions{Filters: filter.Of("volume", "/run")}, ""},
		{ListOptions{Filters: filter.Of("network", "none")}, "3"},
		{ListOptions{Filters: filter.Of("network", "ab")}, "3"},
		{ListOptions{Filters: filter.Of("expose", "79-81/tcp")}, "3 0"},
		{ListOptions{Filters: filter.Of("expose", "81")}, ""},
		{ListOptions{Filters: filter.Of("is-task", "true")}, ""},
		{ListOptions{Filters: filter.Of("is-task", "false")}, "3 0"},
	}
	cs := four()
	for _, tc := range tests {
		got, err := List(cs, tc.o.with(cs))
		if err != nil || names(got) != tc.want {
			t.Errorf("%+v: %q, %v, want %q", tc.o.Filters, names(got), err, tc.want)
		}
	}
}

func (o ListOptions) with(cs []*record.Container) ListOptions {
	o.Find = func(name string) (*record.Container, error) {
		for _, c := range cs {
			if c.Name == name {
				return c, nil
			}
		}
		return nil, errors.New("No such container: " + name)
	}
	o.Ancestors = func(ref string) []string {
		if ref == "other" {
			return []string{"sha256:other"}
		}
		return nil
	}
	return o
}

func TestListRefusals(t *testing.T) {
	for _, tc := range []struct{ key, value, want string }{
		{"nonsense", "x", "invalid filter 'nonsense'"},
		{"exited", "x", `invalid filter 'exited=x': strconv.Atoi: parsing "x": invalid syntax`},
		{"status", "x", "invalid filter 'status=x': invalid value for state (x): must be one of created, running, paused, restarting, removing, exited, dead"},
		{"health", "x", "invalid filter 'health=x': invalid value for health (x): must be one of none, starting, healthy, unhealthy"},
		{"publish", "a:b", "filter for 'publish' should not contain ':': a:b"},
		{"before", "x", "No such container: x"},
	} {
		_, err := List(nil, ListOptions{Filters: filter.Of(tc.key, tc.value)}.with(nil))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s=%s: %v, want %s", tc.key, tc.value, err, tc.want)
		}
	}
}

func BenchmarkList100(b *testing.B) {
	var rs []*record.Container
	entries := map[string]*Entry{}
	for i := range 100 {
		c := sample(i)
		e, err := NewEntry(c, nil)
		if err != nil {
			b.Fatal(err)
		}
		rs, entries[c.ID] = append(rs, c), e
	}
	for b.Loop() {
		chosen, err := List(rs, ListOptions{})
		if err != nil {
			b.Fatal(err)
		}
		list := make([]*Entry, len(chosen))
		for i, c := range chosen {
			list[i] = entries[c.ID]
		}
		if _, err := Render(list, now, true, nil); err != nil {
			b.Fatal(err)
		}
	}
}
