//go:build integration

package crash

import (
	"fmt"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

// A frontend that dies is no end of input: the process reads on from whoever attaches next.
func TestInputOutlivesTheFrontend(t *testing.T) {
	name := arca.Start(t, "-i", "busybox", "sh", "-c", "while read l; do echo got $l; [ $l != end ] || exit 4; done; exit 5")
	// A client that is attached, with its input open, when the frontend dies.
	cmd := arca.Command(t.Context(), "attach", name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, harness.CommandTimeout, func() error { return hasLog(t, name, "got one\n") })
	old := frontend()
	harness.Kill(t, "the frontend", old)
	harness.WaitReplaced(t, "the frontend", old, frontend)
	_ = in.Close()
	_ = cmd.Wait()
	harness.Eventually(t, harness.CommandTimeout, func() error { return hasLog(t, name, "got one\n") })
	arca.DockerInput(t, "end\n", "attach", name).Exit(4)
	arca.Docker(t, "wait", name).OK().Out("4\n")
	arca.Docker(t, "logs", name).OK().Out("got one\ngot end\n")
}

func hasLog(t *testing.T, name, want string) error {
	t.Helper()
	out, err := arca.Command(t.Context(), "logs", name).Output()
	if err == nil && string(out) != want {
		err = fmt.Errorf("log %q", out)
	}
	return err
}
