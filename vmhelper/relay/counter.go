package relay

import (
	"sync/atomic"
	"time"
)

// cause is why a frame was dropped; carried is none.
type cause uint8

const (
	carried cause = iota
	queued
	runt
	giant
	badHeader
	badTag
	doubleTag
	spoofedMAC
	spoofedAddress
	spoofedRouter
	isolated
	flood
	unknownEndpoint
	noOVS
	noLink
	deadLink
	queueFull
	loop
	unsegmented
	causes
)

var causeNames = [causes]string{
	"", "queued", "runt", "giant", "bad_header", "bad_tag", "double_tag", "spoofed_mac", "spoofed_address", "spoofed_router",
	"isolated", "flood", "unknown_endpoint", "no_ovs", "no_link", "dead_link", "queue_full", "loop", "unsegmented",
}

// totals are counted by cause; only frames that do not go straight on touch them.
type totals [causes]atomic.Uint64

func (t *totals) add(c cause) { t[c].Add(1) }

// counters belong to an endpoint for as long as the table names it, whatever else of it changes.
type counters struct {
	rxPackets, rxBytes, rxDropped atomic.Uint64
	_                             [40]byte // The other half is written by another goroutine.
	txPackets, txBytes, txDropped atomic.Uint64
	slow                          limiter
}

func (c *counters) received(n int, why cause) {
	if why != carried {
		c.rxDropped.Add(1)
		return
	}
	c.rxPackets.Add(1)
	c.rxBytes.Add(uint64(n))
}

func (c *counters) sent(n int) {
	c.txPackets.Add(1)
	c.txBytes.Add(uint64(n))
}

func (c *counters) read(id string) EndpointCounters {
	return EndpointCounters{
		ID: id, RxPackets: c.rxPackets.Load(), RxBytes: c.rxBytes.Load(), RxDropped: c.rxDropped.Load(),
		TxPackets: c.txPackets.Load(), TxBytes: c.txBytes.Load(), TxDropped: c.txDropped.Load(),
	}
}

// What an endpoint may send to the trunk of OVS that no policy asked for: broadcasts, multicasts, unknown addresses.
const (
	slowRate  = 4096 // frames a second.
	slowBurst = 4096
)

// limiter is a generic cell rate algorithm: the time at which the bucket would be empty.
type limiter struct{ empty atomic.Int64 }

func (l *limiter) allow(now int64) bool {
	const step = int64(time.Second) / slowRate
	for {
		was := l.empty.Load()
		next := max(was, now) + step
		if next-now > slowBurst*step {
			return false
		}
		if l.empty.CompareAndSwap(was, next) {
			return true
		}
	}
}

var started = time.Now()

// monotonic is the time for limiters.
func monotonic() int64 { return int64(time.Since(started)) }
