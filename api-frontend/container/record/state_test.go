package record

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

var all = []Status{Created, Running, Paused, Restarting, Removing, Exited, Dead}

// TestTransitions spells the whole table out, so that a change of the machine is a change of this test.
func TestTransitions(t *testing.T) {
	want := map[Status]string{
		Created:    "-R--X--",
		Running:    "--PW-E-",
		Paused:     "-R-W-E-",
		Restarting: "-R---E-",
		Removing:   "------D",
		Exited:     "-R--X--",
		Dead:       "----X--",
	}
	letters := "CRPWXED"
	for _, from := range all {
		got := []byte("-------")
		for i, to := range all {
			if Can(from, to) {
				got[i] = letters[i]
			}
		}
		if string(got) != want[from] {
			t.Errorf("%s: steps %s, want %s", from, got, want[from])
		}
	}
	if Can("nonsense", Running) {
		t.Error("an unknown status has a step")
	}
}

func TestSteps(t *testing.T) {
	now := time.Unix(1000, 0)
	steps := map[string]func(*State) error{
		"start":    func(s *State) error { return s.Started(7, now) },
		"fail":     func(s *State) error { return s.StartFailed(127, "no", now) },
		"exit":     func(s *State) error { return s.Exit(3, true, now) },
		"restart":  func(s *State) error { return s.ExitAndRestart(4, false, now) },
		"pause":    (*State).Pause,
		"unpause":  (*State).Unpause,
		"remove":   (*State).Remove,
		"unremove": func(s *State) error { return s.RemoveFailed("busy") },
	}
	want := map[Status]map[string]Status{
		Created:    {"start": Running, "fail": Created, "remove": Removing},
		Running:    {"exit": Exited, "restart": Restarting, "pause": Paused},
		Paused:     {"exit": Exited, "restart": Restarting, "unpause": Running},
		Restarting: {"start": Running, "fail": Exited, "exit": Exited},
		Exited:     {"start": Running, "fail": Exited, "remove": Removing},
		Removing:   {"unremove": Dead},
		Dead:       {"remove": Removing},
	}
	for _, from := range all {
		for name, step := range steps {
			s := State{Status: from}
			err := step(&s)
			to, ok := want[from][name]
			if !ok {
				if !errors.Is(err, errdefs.ErrFailedPrecondition) || s.Status != from {
					t.Errorf("%s from %s: %v and %s, want a refusal", name, from, err, s.Status)
				}
				continue
			}
			if err != nil || s.Status != to {
				t.Errorf("%s from %s: %v and %s, want %s", name, from, err, s.Status, to)
			}
		}
	}
}

func TestRun(t *testing.T) {
	s := State{Status: Created}
	at := time.Unix(1, 0)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.StartFailed(127, "not found", at))
	must(s.Started(5, at))
	if s.Error != "" || s.ExitCode != 0 || s.Run != 1 || s.Pid != 5 {
		t.Fatalf("after start: %+v", s)
	}
	must(s.ExitAndRestart(9, true, at))
	if s.Pid != 0 || s.ExitCode != 9 || !s.OOMKilled || s.RestartCount != 1 || !s.IsActive() || s.IsRunning() {
		t.Fatalf("while restarting: %+v", s)
	}
	must(s.Exit(0, false, at.Add(1)))
	if s.ExitCode != 9 || !s.FinishedAt.Equal(at) {
		t.Fatalf("stopped while restarting: %+v", s)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	c := &Container{
		ID: "aa", Name: "n", Created: time.Unix(3, 4).UTC(), Layers: []string{"x"},
		Config: &container.Config{Cmd: []string{"a"}}, HostConfig: &container.HostConfig{NetworkMode: "none"},
		Mounts: []MountPoint{{Type: mount.TypeVolume, Name: "v", Destination: "/v", RW: true}},
		State:  State{Status: Created},
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var got Container
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, &got); d != "" {
		t.Fatal(d)
	}
}

func TestCloneAndVolumes(t *testing.T) {
	c := &Container{ID: "0123456789abcdef", Mounts: []MountPoint{
		{Type: mount.TypeVolume, Name: "v"}, {Type: mount.TypeBind}, {Type: mount.TypeVolume, Name: "v"}, {Type: mount.TypeVolume, Name: "w"},
	}}
	d := c.Clone()
	d.Mounts[0].Name, d.State.Status = "z", Dead
	if c.Mounts[0].Name != "v" || c.State.Status == Dead {
		t.Error("Clone shares what may change")
	}
	var names []string
	c.Volumes(func(n string) bool { names = append(names, n); return true })
	if d := cmp.Diff([]string{"v", "w"}, names); d != "" {
		t.Error(d)
	}
	if c.ShortID() != "0123456789ab" || c.SandboxID() != c.ID {
		t.Error(c.ShortID(), c.SandboxID())
	}
}
