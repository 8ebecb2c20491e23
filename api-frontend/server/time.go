package server

import (
	"time"

	"github.com/arca-engine/arca/api-frontend/timestamp"
)

// Time reads a point in time from a query parameter: seconds since 1970 with or without a fraction, a date and time, or
// a Go duration before now. An absent or empty parameter is the zero time.
func (r *Request) Time(key string) (time.Time, error) {
	value := r.Get(key)
	if value == "" {
		return time.Time{}, nil
	}
	t, ok := timestamp.Parse(value, time.Now())
	if !ok {
		return time.Time{}, invalid("invalid value for parameter %s: failed to parse value as time or duration: %q", key, value)
	}
	return t, nil
}
