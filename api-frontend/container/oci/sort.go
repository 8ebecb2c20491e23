package oci

import (
	"cmp"
	"slices"
	"strings"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// sortMounts puts a mount after those that its destination lies under; equals keep their order.
func sortMounts(ms []*guestv1.Mount) {
	slices.SortStableFunc(ms, func(a, b *guestv1.Mount) int {
		return cmp.Compare(strings.Count(a.GetDestination(), "/"), strings.Count(b.GetDestination(), "/"))
	})
}
