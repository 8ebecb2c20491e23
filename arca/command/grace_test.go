package command

import (
	"os"
	"testing"
	"time"

	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

func TestFrontendGrace(t *testing.T) {
	t.Parallel()
	other := t.TempDir() + "/other.json"
	if err := os.WriteFile(other, []byte(`{"shutdown-timeout": 400}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		args []string
		want time.Duration
	}{
		"nothing said":          {want: leastFrontendGrace},
		"short":                 {args: []string{"--shutdown-timeout=3"}, want: leastFrontendGrace},
		"by flag":               {args: []string{"--debug=true", "--label=a=b", "--shutdown-timeout=200"}, want: 215 * time.Second},
		"by file":               {file: `{"live-restore": true, "shutdown-timeout": 300}`, want: 315 * time.Second},
		"by a file elsewhere":   {file: `{"shutdown-timeout": 300}`, args: []string{"--config-file=" + other}, want: 415 * time.Second},
		"without an end":        {file: `{"shutdown-timeout": -1}`, want: supervisor.Forever},
		"a file that is broken": {file: `{"shutdown-timeout": `, want: leastFrontendGrace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := instance.Home(t.TempDir())
			if c.file != "" {
				if err := os.WriteFile(home.Config(), []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := frontendGrace(home, c.args); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
