package server

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// headers gives answers the fields that all of them have. It makes them once a second, when somebody asks. fasthttp's own
// Date would wake an idle process every second, and a Date that is set is dropped; one that is parsed stays.
type headers struct{ last atomic.Pointer[second] }

type second struct {
	unix   int64
	header fasthttp.ResponseHeader // only read once it is shared.
}

// put sets the common fields of h, as fasthttp made it for a request.
func (c *headers) put(h *fasthttp.ResponseHeader, now time.Time) error {
	unix := now.Unix()
	s := c.last.Load()
	if s == nil || s.unix != unix {
		s = &second{unix: unix}
		h.CopyTo(&s.header) // with what the server's options set.
		var text bytes.Buffer
		// The status and the length are replaced when the answer is known.
		fmt.Fprintf(&text, "HTTP/1.1 200 \r\nServer: %s\r\nDate: %s\r\nApi-Version: %s\r\nDocker-Experimental: false\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n",
			h.Server(), now.UTC().Format(http.TimeFormat), MaxAPIVersion)
		if err := s.header.Read(bufio.NewReader(&text)); err != nil {
			return fmt.Errorf("common headers: %w", err)
		}
		c.last.Store(s)
	}
	s.header.CopyTo(h)
	return nil
}
