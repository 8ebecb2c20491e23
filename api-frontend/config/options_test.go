package config

import (
	"slices"
	"strings"
	"testing"
)

// The table is sorted, and each directive is either supported or refused with a reason.
func TestOptions(t *testing.T) {
	if !slices.IsSortedFunc(options, func(a, b option) int { return strings.Compare(a.key, b.key) }) {
		t.Error("the table is not sorted")
	}
	seen := map[string]bool{}
	for _, o := range options {
		if seen[o.flagName()] {
			t.Errorf("%s is there twice", o.flagName())
		}
		seen[o.flagName()] = true
		if (o.target == nil) == (o.refusal == "") {
			t.Errorf("%s must be supported or refused", o.key)
		}
	}
}
