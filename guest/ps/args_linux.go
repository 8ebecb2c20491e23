package ps

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// column is one field of the listing.
type column struct {
	title string
	value func(*process, *machine) string
}

var (
	full      = []string{"user=UID", "pid", "ppid", "c", "stime", "tty", "time", "cmd"}
	plain     = []string{"pid", "tty", "time", "comm=CMD"}
	bsdUser   = []string{"user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "bsdtime=TIME", "command"}
	bsdPlain  = []string{"pid", "tty", "stat", "bsdtime=TIME", "command"}
	longLines = []string{"s", "user=UID", "pid", "ppid", "c", "pri", "ni", "vsz=SZ", "tty", "time", "comm=CMD"}
)

// parse reads the options of ps.
func parse(args []string) ([]column, error) {
	format, chosen := plain, []string(nil)
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "" {
			continue
		}
		bsd := a[0] != '-'
		for j, c := range strings.TrimPrefix(a, "-") {
			rest := strings.TrimPrefix(a, "-")[j+1:]
			switch {
			case c == 'o':
				if rest == "" {
					if i++; i >= len(args) {
						return nil, fmt.Errorf("ps: format specification must follow -o: %w", errdefs.ErrInvalidArgument)
					}
					rest = args[i]
				}
				chosen = append(chosen, split(rest)...)
			case c == 'u' && bsd:
				format = bsdUser
			case c == 'f' && !bsd, c == 'F' && !bsd:
				format = full
			case c == 'l' && !bsd:
				format = longLines
			case strings.ContainsRune("ax", c) && bsd:
				if len(format) == len(plain) {
					format = bsdPlain
				}
			case strings.ContainsRune("eAadw", c) && !bsd, strings.ContainsRune("wf", c) && bsd, c == 'H' && !bsd:
			default:
				return nil, fmt.Errorf("ps: option %q is not supported: %w", a, errdefs.ErrInvalidArgument)
			}
			if c == 'o' {
				break
			}
		}
	}
	if chosen != nil {
		format = chosen
	}
	return columns(format)
}

func split(list string) []string {
	if strings.Contains(list, "=") && !strings.Contains(list, ",") {
		return []string{list}
	}
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func columns(names []string) ([]column, error) {
	var out []column
	for _, n := range names {
		key, title, renamed := strings.Cut(n, "=")
		k, ok := keywords[strings.ToLower(key)]
		if !ok {
			return nil, fmt.Errorf("ps: keyword %q is not supported: %w", key, errdefs.ErrInvalidArgument)
		}
		if renamed {
			k.title = title
		}
		out = append(out, k)
	}
	return out, nil
}
