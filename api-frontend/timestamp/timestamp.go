package timestamp

import (
	"strconv"
	"strings"
	"time"
)

// layouts are the forms of a time besides seconds and durations; those without a zone are local.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02Z07:00",
	"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02",
}

// Parse reads seconds since 1970 with or without a fraction, a date and time, or a Go duration before now.
func Parse(value string, now time.Time) (time.Time, bool) {
	if t, ok := parseSeconds(value); ok {
		return t, true
	}
	if d, err := time.ParseDuration(value); err == nil {
		return now.Add(-d), true
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, value, now.Location()); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseSeconds reads seconds with an optional fraction, whose digits behind the ninth are dropped.
func parseSeconds(value string) (time.Time, bool) {
	const nine = 9
	whole, fraction, _ := strings.Cut(value, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0123456789") != "" || len(fraction) > 2*nine {
		return time.Time{}, false
	}
	fraction = (fraction + "000000000")[:nine]
	nanos, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(seconds, nanos), true
}
