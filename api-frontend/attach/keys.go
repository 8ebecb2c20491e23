package attach

import (
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// DefaultKeys is ctrl-p,ctrl-q.
var DefaultKeys = []byte{16, 17}

// maxKeys bounds a sequence of detach keys.
const maxKeys = 64

const controls = "@abcdefghijklmnopqrstuvwxyz[\\]^_"

// ParseKeys reads a comma-separated sequence of keys, each a character, "ctrl-x" or "DEL", as Docker clients send it.
// Nothing given gives an empty sequence; DefaultKeys applies then.
func ParseKeys(s string) ([]byte, error) {
	if s == "" {
		return []byte{}, nil
	}
	var keys []byte
	for key := range strings.SplitSeq(s, ",") {
		code, ok := parseKey(key)
		if !ok || len(keys) == maxKeys {
			return nil, errdefs.ErrInvalidArgument.WithMessage("Invalid escape keys (" + s + ") provided")
		}
		keys = append(keys, code)
	}
	return keys, nil
}

func parseKey(key string) (byte, bool) {
	if len(key) == 1 {
		return key[0], true
	}
	if key == "DEL" {
		return 127, true
	}
	c, ok := strings.CutPrefix(key, "ctrl-")
	if !ok || len(c) != 1 {
		return 0, false
	}
	i := slices.Index([]byte(controls), c[0])
	return byte(i), i >= 0
}
