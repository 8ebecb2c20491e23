package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/moby/moby/api/types/events"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func message(id string) events.Message {
	return events.Message{Type: events.ContainerEventType, Action: events.ActionStart, Actor: events.Actor{ID: id}}
}

func TestHistoryIsBoundedAndOrdered(t *testing.T) {
	var bus event.Bus
	start := time.Now()
	for i := range 300 {
		bus.Publish(message(fmt.Sprint(i)))
	}
	past, sub := bus.Subscribe(start, time.Time{}, nil)
	defer sub.Close()
	if len(past) != 256 || past[0].Actor.ID != "44" || past[255].Actor.ID != "299" {
		t.Fatalf("history of %d from %v", len(past), past[0].Actor.ID)
	}
	for i := 1; i < len(past); i++ {
		if past[i].TimeNano <= past[i-1].TimeNano {
			t.Fatal("times do not rise")
		}
	}
	if m := past[0]; m.Scope != "local" || m.Time != m.TimeNano/1e9 || m.Actor.Attributes == nil {
		t.Errorf("not stamped: %+v", m)
	}
	if past, sub := bus.Subscribe(time.Time{}, time.Time{}, nil); past != nil {
		t.Errorf("history without since")
	} else {
		sub.Close()
	}
	until := time.Unix(0, past[9].TimeNano)
	if past, sub := bus.Subscribe(start, until, nil); len(past) != 10 {
		t.Errorf("until gives %d", len(past))
	} else {
		sub.Close()
	}
}

func TestSlowSubscriberHurtsItselfAlone(t *testing.T) {
	var bus event.Bus
	_, slow := bus.Subscribe(time.Time{}, time.Time{}, nil)
	defer slow.Close()
	_, fast := bus.Subscribe(time.Time{}, time.Time{}, nil)
	defer fast.Close()
	const count = 5000
	for i := range count {
		bus.Publish(message(fmt.Sprint(i)))
		if m, err := fast.Next(t.Context()); err != nil || m.Actor.ID != fmt.Sprint(i) {
			t.Fatalf("fast got %v, %v", m, err)
		}
	}
	var err error
	for n := 0; err == nil; n++ {
		var m events.Message
		if m, err = slow.Next(t.Context()); err == nil && m.Actor.ID != fmt.Sprint(n) {
			t.Fatalf("slow got %s at %d", m.Actor.ID, n)
		}
	}
	if !errors.Is(err, event.ErrOverflow) {
		t.Errorf("slow ended with %v", err)
	}
}

func TestNoGapBetweenHistoryAndLive(t *testing.T) {
	var bus event.Bus
	start := time.Now()
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := range 200 {
			bus.Publish(message(fmt.Sprint(i)))
		}
	})
	past, sub := bus.Subscribe(start, time.Time{}, nil)
	defer sub.Close()
	for i := len(past); i < 200; i++ {
		m, err := sub.Next(t.Context())
		if err != nil || m.Actor.ID != fmt.Sprint(i) {
			t.Fatalf("got %v, %v at %d", m.Actor.ID, err, i)
		}
	}
	publishing.Wait()
}

func TestNextEndsWithItsContext(t *testing.T) {
	var bus event.Bus
	_, sub := bus.Subscribe(time.Time{}, time.Time{}, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(nil)
	if _, err := sub.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	sub.Close()
	if n := bus.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}
