package container

import (
	"testing"

	"github.com/moby/moby/api/types/container"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
)

// TestRemoveAfterAFailedUnmount: a container that could not be taken out of the sandbox it shared is taken out by its
// removal, while the other one runs on.
func TestRemoveAfterAFailedUnmount(t *testing.T) {
	for _, method := range []string{"Unmount", "Acknowledge", "RemoveDisks"} {
		t.Run(method, func(t *testing.T) {
			w := newWorld(t)
			first := w.run("run")
			w.helper.Inject(method, sandboxtest.Fault{Count: 1, Before: sandboxtest.Error(status.Error(codes.Internal, "not now"))})
			second := w.run("exit 4", joins(first))
			if s := w.wait(second, container.WaitConditionNotRunning)(); s.Code != 4 {
				t.Fatal(s)
			}
			check(t, w.engine.Remove(t.Context(), second, RemoveOptions{}))
			if !w.record(first).IsRunning() {
				t.Error("the removal ended the other container")
			}
			check(t, w.engine.Remove(t.Context(), first, RemoveOptions{Force: true}))
			w.idle()
		})
	}
}
