package change

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

func (s *state) healthcheck(rest string) error {
	h := &dockerspec.HealthcheckConfig{}
	flags := 0
	for strings.HasPrefix(rest, "--") {
		flag, after, _ := cutSpace(rest)
		if err := healthFlag(h, flag); err != nil {
			return err
		}
		rest, flags = after, flags+1
	}
	kind, command, _ := cutSpace(rest)
	switch kind = strings.ToUpper(kind); {
	case kind == "NONE" && command == "" && flags == 0:
		h.Test = []string{"NONE"}
	case kind == "NONE":
		return invalid("HEALTHCHECK NONE takes no arguments")
	case kind != "CMD":
		return invalid("Unknown type %q in HEALTHCHECK (try CMD)", kind)
	case command == "":
		return invalid("Missing command after HEALTHCHECK CMD")
	default:
		var list []string
		if strings.HasPrefix(command, "[") && json.Unmarshal([]byte(command), &list) == nil {
			h.Test = append([]string{"CMD"}, list...)
		} else {
			h.Test = []string{"CMD-SHELL", command}
		}
	}
	s.Healthcheck = h
	return nil
}

// shortest is Docker's bound of the times of health checks.
const shortest = time.Millisecond

func healthFlag(h *dockerspec.HealthcheckConfig, flag string) error {
	name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
	times := map[string]*time.Duration{
		"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod, "start-interval": &h.StartInterval,
	}
	if to := times[name]; to != nil {
		d, err := time.ParseDuration(value)
		if err != nil {
			return invalid("%v", err)
		}
		if d != 0 && d < shortest {
			return invalid("Interval %q cannot be less than %s", name, shortest)
		}
		*to = d
		return nil
	}
	if name != "retries" {
		return invalid("unknown flag: --%s", name)
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return invalid("--retries cannot be negative (%s)", value)
	}
	h.Retries = int(n)
	return nil
}
