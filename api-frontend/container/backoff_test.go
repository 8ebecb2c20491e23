package container

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

func TestBackoffDoublesUpToAMinuteAndStartsAnewAfterALongRun(t *testing.T) {
	p := container.RestartPolicy{Name: container.RestartPolicyAlways}
	var b backoff
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000}
	for i, w := range want {
		if ok, d := b.next(p, 1, i, false, time.Second); !ok || d != w*time.Millisecond {
			t.Fatalf("restart %d: %v after %v, want after %v", i, ok, d, w*time.Millisecond)
		}
	}
	if _, d := b.next(p, 1, 0, false, 10*time.Second); d != backoffFirst {
		t.Errorf("after a long run: %v, want %v", d, backoffFirst)
	}
}

func TestPolicies(t *testing.T) {
	for _, tt := range []struct {
		name     string
		policy   container.RestartPolicy
		code     int
		count    int
		manually bool
		canceled bool
		want     bool
	}{
		{name: "no", policy: container.RestartPolicy{Name: "no"}, code: 1},
		{name: "empty", code: 1},
		{name: "always after success", policy: container.RestartPolicy{Name: "always"}, want: true},
		{name: "always, stopped by a client", policy: container.RestartPolicy{Name: "always"}, canceled: true},
		{name: "always at the engine's start", policy: container.RestartPolicy{Name: "always"}, manually: true, want: true},
		{name: "unless-stopped", policy: container.RestartPolicy{Name: "unless-stopped"}, want: true},
		{name: "unless-stopped, stopped", policy: container.RestartPolicy{Name: "unless-stopped"}, manually: true},
		{name: "on-failure after success", policy: container.RestartPolicy{Name: "on-failure"}},
		{name: "on-failure after failure", policy: container.RestartPolicy{Name: "on-failure"}, code: 1, want: true},
		{name: "on-failure:3, third", policy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3}, code: 1, count: 2, want: true},
		{name: "on-failure:3, fourth", policy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3}, code: 1, count: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := backoff{canceled: tt.canceled}
			if got, _ := b.next(tt.policy, tt.code, tt.count, tt.manually, time.Second); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
