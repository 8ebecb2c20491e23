//go:build soak

package soak

import (
	"os"
	"strconv"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

var arca *harness.Instance

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{Images: []string{"busybox", "mariadb"}, Quiet: true}, func(i *harness.Instance) { arca = i })
}

// scaled tells a storm's size at the scale of this run, at least one.
func scaled(t *testing.T, whole int) int {
	t.Helper()
	scale := 0.1
	if s := os.Getenv("ARCA_SOAK"); s != "" {
		var err error
		if scale, err = strconv.ParseFloat(s, 64); err != nil {
			t.Fatalf("ARCA_SOAK: %v", err)
		}
	}
	return max(1, int(float64(whole)*scale))
}
