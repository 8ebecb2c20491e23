package version_test

import (
	"testing"

	"github.com/arca-engine/arca/internal/version"
)

func TestGet(t *testing.T) {
	info := version.Get()
	if info.Version == "" || info.Commit == "" || len(info.Commit) > 7 {
		t.Errorf("got %+v", info)
	}
}
