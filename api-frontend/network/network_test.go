package network

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

var made = time.Date(2025, 1, 2, 3, 4, 5, 6, time.UTC)

// world is a fake of containers and the event bus.
type world struct {
	records []*record.Container
	told    []string
}

func (w *world) Records() []*record.Container { return w.records }

func (w *world) RecordOf(ref string) (*record.Container, error) {
	for _, r := range w.records {
		if r.ID == ref || r.Name == ref {
			return r, nil
		}
	}
	return nil, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
}

func (w *world) Publish(m events.Message) {
	w.told = append(w.told, strings.TrimSpace(string(m.Type)+" "+string(m.Action)+" "+m.Actor.Attributes["name"]+m.Actor.Attributes["reclaimed"]))
}

func running(name, mode string) *record.Container {
	return &record.Container{
		ID: strings.Repeat(name[:1], 64), Name: name, Config: &container.Config{}, HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(mode)},
		Networking: map[string]*network.EndpointSettings{mode: {}}, State: record.State{Status: record.Running, StartedAt: made},
	}
}

func open(records ...*record.Container) (*Service, *world) {
	w := &world{records: records}
	s := New(w, "engine", made)
	s.Use(w)
	return s, w
}

func TestInspectShowsWhoRunsInANetwork(t *testing.T) {
	stopped := running("c-stopped", "none")
	stopped.State.Status = record.Exited
	s, _ := open(running("a-none", "none"), running("b-bridge", "bridge"), stopped)
	for _, ref := range []string{"none", s.ID("none"), s.ID("none")[:12]} {
		n, err := s.Inspect(ref)
		if err != nil || len(n.Containers) != 1 || n.Containers[strings.Repeat("a", 64)].Name != "a-none" {
			t.Errorf("%s: %+v, %v", ref, n, err)
		}
		raw, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		speccheck.Answer(t, "GET", "/networks/{id}", 200, raw)
	}
	if again, _ := open(); again.ID("host") != s.ID("host") || s.ID("no-such") != "" {
		t.Error("the ID of a network follows from the engine's")
	}
}

func TestListFilters(t *testing.T) {
	s, _ := open()
	for _, tc := range []struct{ filters, want string }{
		{"", "bridge host none"},
		{`{"driver":["null"]}`, "none"},
		{`{"name":["o"]}`, "host none"},
		{`{"scope":["swarm"]}`, ""},
		{`{"type":["builtin"]}`, "bridge host none"},
		{`{"type":["custom"]}`, ""},
		{`{"dangling":["true"]}`, ""},
		{`{"dangling":["0"]}`, "bridge host none"},
		{`{"label":["a"]}`, ""},
		{`{"id":["` + s.ID("host") + `"]}`, "host"},
		{`{"type":["nope"]}`, "! invalid filter: 'type'='nope'"},
		{`{"dangling":["x"]}`, `! invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`},
		{`{"nope":["x"]}`, "! invalid filter 'nope'"},
	} {
		f, err := filter.Parse(tc.filters)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.List(f)
		var names []string
		for _, n := range list {
			names = append(names, n.Name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "! " + err.Error()
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%s: %v is no invalid argument", tc.filters, err)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.filters, got, tc.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	s, _ := open(running("a-none", "none"))
	for _, tc := range []struct {
		err   error
		class error
		text  string
	}{
		{s.Create(&network.CreateRequest{Name: "host"}), errdefs.ErrPermissionDenied, "operation is not permitted on predefined host network "},
		{s.Create(&network.CreateRequest{}), errdefs.ErrInvalidArgument, "invalid name: "},
		{s.Create(&network.CreateRequest{Name: "mine"}), errdefs.ErrNotImplemented, "user-defined networks are not supported by this version of the engine"},
		{s.Remove("none"), errdefs.ErrPermissionDenied, "none is a pre-defined network and cannot be removed"},
		{s.Remove("mine"), errdefs.ErrNotFound, "network mine not found"},
		{s.Attach("none", "nobody"), errdefs.ErrNotFound, "No such container: nobody"},
		{s.Attach("mine", "a-none"), errdefs.ErrNotFound, "network mine not found"},
		{s.Attach("none", "a-none"), errdefs.ErrNotImplemented, "containers cannot be connected to or disconnected from networks by this version of the engine"},
	} {
		if !errors.Is(tc.err, tc.class) || tc.err.Error() != tc.text {
			t.Errorf("%v, want %q", tc.err, tc.text)
		}
	}
}

func TestEventsOfNetworks(t *testing.T) {
	s, w := open(running("a-none", "none"), running("j-joins", "container:x"))
	p := s.Announcer()
	for _, id := range []string{"a", "j", "z"} {
		for _, action := range []events.Action{events.ActionStart, events.ActionDie} {
			p.Publish(events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: strings.Repeat(id, 64)}})
		}
	}
	if _, err := s.Prune(filter.Filter{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"network connect none", "container start", "container die", "network disconnect none", "container start", "container die", "container start", "container die", "network prune 0"}
	if !slices.Equal(w.told, want) {
		t.Errorf("%q, want %q", w.told, want)
	}
}

func TestCompleteLeavesTheRecordAlone(t *testing.T) {
	c := running("a-none", "none")
	s, _ := open(c)
	settings := &view.NetworkSettings{Networks: c.Networking}
	s.Complete(settings, c)
	if ep := settings.Networks["none"]; ep.NetworkID != s.ID("none") || len(ep.EndpointID) != 64 {
		t.Errorf("%+v", ep)
	}
	if c.Networking["none"].NetworkID != "" {
		t.Error("the record was changed")
	}
	c.State = record.State{Status: record.Created}
	s.Complete(settings, c)
	settings.Networks = c.Networking
	if ep := settings.Networks["none"]; ep.NetworkID != "" {
		t.Errorf("of a container that never ran: %+v", ep)
	}
}
