package fake_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance"
	"github.com/arca-engine/arca/vmhelper/sandbox/fake"
)

func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	conformance.Run(t, func(t *testing.T) *conformance.Instance {
		disk := conformance.NewID()
		d := fake.New(disk)
		return &conformance.Instance{
			Driver: d, Disk: disk, Place: fake.Place,
			KillAgent: func(sb sandbox.Sandbox) error { return d.Kill(sb.Info().ID) },
			Leftovers: func(t *testing.T) string {
				u, v, err := d.ListStores(t.Context())
				return fmt.Sprint(len(d.List()), u, v, err)
			},
		}
	})
}

func TestFaults(t *testing.T) {
	defer goleak.VerifyNone(t)
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		step string
		f    fake.Fault
	}{
		"error":         {fake.StepCreate, fake.Fault{Err: boom}},
		"error of boot": {fake.StepBoot, fake.Fault{Err: boom}},
		"death":         {fake.StepBoot, fake.Fault{Death: true}},
		"hang":          {fake.StepBoot, fake.Fault{Hang: true}},
		"late error":    {fake.StepBoot, fake.Fault{Delay: time.Millisecond, Err: boom}},
	} {
		t.Run(name, func(t *testing.T) {
			d := fake.New()
			d.Inject(tc.step, tc.f)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			id := conformance.NewID()
			if _, _, err := d.Create(ctx, sandbox.Spec{ID: id}); err == nil {
				t.Fatal("it booted")
			}
			if len(d.List()) != 0 {
				t.Error("something is left")
			}
			d.Inject(tc.step, fake.Fault{})
			sb, _, err := d.Create(t.Context(), sandbox.Spec{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			if err := sb.Stop(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
	}
}
