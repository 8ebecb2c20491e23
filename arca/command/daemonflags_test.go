package command

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestGivenFlagsAreHandedOver(t *testing.T) {
	daemon := daemonFlags()
	all := pflag.NewFlagSet("up", pflag.ContinueOnError)
	all.String("home", "", "")
	all.AddFlagSet(daemon)
	if err := all.Parse([]string{"--home", "/x", "--registry-mirror", "http://one", "--registry-mirror=http://two", "-D", "--log-level", "debug"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"--debug=true", "--log-level=debug", "--registry-mirror=http://one", "--registry-mirror=http://two"}
	if got := given(daemon); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := given(daemonFlags()); len(got) != 0 {
		t.Errorf("without flags: %q", got)
	}
}
