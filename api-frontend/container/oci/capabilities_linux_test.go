package oci

import (
	"slices"
	"testing"

	"github.com/arca-engine/arca/api-frontend/container/normal"
)

func TestBounding(t *testing.T) {
	got := bounding("Name:\tx\nCapBnd:\t000001fffeffffff\n")
	if len(got) != 40 || slices.Contains(got, "CAP_SYS_RESOURCE") {
		t.Error(got)
	}
	for _, odd := range []string{"", "CapBnd:\tx\n"} {
		if got := bounding(odd); len(got) != len(normal.AllCapabilities) {
			t.Errorf("%q: %v", odd, got)
		}
	}
}
