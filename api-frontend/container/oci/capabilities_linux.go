package oci

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/arca-engine/arca/api-frontend/container/normal"
)

// hostCapabilities are those that the first process of this machine may ever have: none has more. A machine that is a
// container itself lacks some.
var hostCapabilities = sync.OnceValue(func() []string {
	status, err := os.ReadFile("/proc/1/status")
	if err != nil {
		return normal.AllCapabilities
	}
	return bounding(string(status))
})

// bounding reads the bounding set from the text of /proc/PID/status.
func bounding(status string) []string {
	for line := range strings.Lines(status) {
		text, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
		if err != nil {
			break
		}
		var out []string
		for i, c := range normal.AllCapabilities {
			if set>>i&1 == 1 {
				out = append(out, c)
			}
		}
		return out
	}
	return normal.AllCapabilities
}
