package event_test

import (
	"encoding/json"
	"testing"

	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/moby/moby/api/types/events"
)

func TestMatch(t *testing.T) {
	run := events.Message{Type: "container", Action: "exec_create: sh -c true", Scope: "local", Actor: events.Actor{
		ID: "abcdef", Attributes: map[string]string{"name": "web", "image": "nginx:1.25", "app": "x"}}}
	pull := events.Message{Type: "image", Action: "pull", Scope: "local", Actor: events.Actor{
		ID: "nginx:1.25", Attributes: map[string]string{"name": "nginx"}}}
	tests := []struct {
		pairs     []string
		run, pull bool
	}{
		{[]string{"type", "container"}, true, false},
		{[]string{"type", "container", "type", "image"}, true, true},
		{[]string{"container", "abc"}, true, false},
		{[]string{"container", "web"}, true, false},
		{[]string{"container", "bc"}, false, false},
		{[]string{"image", "nginx"}, true, true},
		{[]string{"image", "nginx:1.25"}, true, true},
		{[]string{"image", "redis"}, false, false},
		{[]string{"event", "exec_create"}, true, false},
		{[]string{"event", "exec_create", "event", "pull"}, true, true},
		{[]string{"event", "pul"}, false, false},
		{[]string{"label", "app=x"}, true, false},
		{[]string{"label", "app"}, true, false},
		{[]string{"scope", "swarm"}, false, false},
		{[]string{"volume", "v"}, false, false},
	}
	for _, tt := range tests {
		match := event.Match(filter.Of(tt.pairs...))
		if got := match(run); got != tt.run {
			t.Errorf("%v on container: %v", tt.pairs, got)
		}
		if got := match(pull); got != tt.pull {
			t.Errorf("%v on image: %v", tt.pairs, got)
		}
	}
	if event.Match(filter.Filter{}) != nil {
		t.Error("an empty filter has a test")
	}
}

func TestWire(t *testing.T) {
	tests := map[events.Type]string{
		events.ContainerEventType: `{"status":"start","id":"i","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"i","Attributes":{"image":"busybox"}},"scope":"local","time":1,"timeNano":1000000001}`,
		events.ImageEventType:     `{"status":"start","id":"i","Type":"image","Action":"start","Actor":{"ID":"i","Attributes":{"image":"busybox"}},"scope":"local","time":1,"timeNano":1000000001}`,
		events.VolumeEventType:    `{"Type":"volume","Action":"start","Actor":{"ID":"i","Attributes":{"image":"busybox"}},"scope":"local","time":1,"timeNano":1000000001}`,
	}
	for typ, want := range tests {
		got, err := json.Marshal(event.ToWire(events.Message{Type: typ, Action: "start", Scope: "local", Time: 1,
			TimeNano: 1000000001, Actor: events.Actor{ID: "i", Attributes: map[string]string{"image": "busybox"}}}))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", typ, got, err)
		}
	}
}
