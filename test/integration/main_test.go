//go:build integration

package integration

import (
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

// arca is the instance that the tests of this package share.
var arca *harness.Instance

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{}, func(i *harness.Instance) { arca = i })
}
