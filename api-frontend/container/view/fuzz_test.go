package view

import (
	"testing"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/filter"
)

func FuzzFilters(f *testing.F) {
	f.Add(`{"publish":{"80-90/tcp":true},"expose":{"53/udp":true}}`)
	f.Add(`{"status":["exited"],"health":["none"],"label":["a=b"],"name":["("],"exited":["1"]}`)
	f.Add(`{"id":{"0":true},"is-task":{"true":true},"network":{"":true},"volume":{"/data":true},"ancestor":{"x":true}}`)
	cs := four()
	f.Fuzz(func(t *testing.T, text string) {
		fs, err := filter.Parse(text)
		if err != nil {
			return
		}
		got, err := List(cs, ListOptions{Filters: fs}.with(cs))
		if err == nil && len(got) > len(cs) {
			t.Fatal("containers out of nothing")
		}
		if err != nil && !fs.Contains("before") && !fs.Contains("since") && !errdefs.IsInvalidArgument(err) {
			t.Fatalf("an error without class: %v", err)
		}
	})
}
