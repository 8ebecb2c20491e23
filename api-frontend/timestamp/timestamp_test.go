package timestamp

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"0":                                   time.Unix(0, 0),
		"-5":                                  time.Unix(-5, 0),
		"1700000000":                          time.Unix(1700000000, 0),
		"1700000000.5":                        time.Unix(1700000000, 500000000),
		"1700000000.000000001":                time.Unix(1700000000, 1),
		"1700000000.0000000019":               time.Unix(1700000000, 1),
		"10m":                                 now.Add(-10 * time.Minute),
		"1h30m":                               now.Add(-90 * time.Minute),
		"2026-01-02":                          time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02T15":                       time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC),
		"2026-01-02T15:04:05":                 time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05.123456789Z":      time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC),
		"2026-01-02T15:04:05.5+02:00":         time.Date(2026, 1, 2, 13, 4, 5, 500000000, time.UTC),
		"2026-01-02T15:04:05.123456789-07:00": time.Date(2026, 1, 2, 22, 4, 5, 123456789, time.UTC),
	} {
		if got, ok := Parse(value, now); !ok || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"x", "1.x", "1.-5", "2026-13-01", "1700000000.12345678901234567890", "--1"} {
		if got, ok := Parse(value, now); ok {
			t.Errorf("%s: %v", value, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1700000000.5")
	f.Add("2026-01-02T15:04:05Z")
	f.Fuzz(func(_ *testing.T, value string) { Parse(value, time.Unix(0, 0)) })
}
