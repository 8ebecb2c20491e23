package server

import (
	"net/http"
	"time"
)

// date gives the Date header. It is formatted once a second, when somebody asks: fasthttp's own is kept by a goroutine
// that wakes every second for ever.
func (s *Server) date(now time.Time) string {
	second := now.Unix()
	if d := s.dated.Load(); d != nil && d.second == second {
		return d.text
	}
	d := &datedText{second, now.UTC().Format(http.TimeFormat)}
	s.dated.Store(d)
	return d.text
}

type datedText struct {
	second int64
	text   string
}
