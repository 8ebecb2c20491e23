package normal

import (
	"regexp"
	"strconv"
)

// DeviceRule is a rule of the devices cgroup.
type DeviceRule struct {
	Type         string // a, b or c.
	Major, Minor int64  // -1: all.
	Access       string // of r, w and m.
}

var deviceRule = regexp.MustCompile(`^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$`)

// ParseDeviceRule parses a rule of --device-cgroup-rule.
func ParseDeviceRule(s string) (DeviceRule, error) {
	m := deviceRule.FindStringSubmatch(s)
	if m == nil {
		return DeviceRule{}, invalidf("invalid device cgroup rule format: '%s'", s)
	}
	number := func(s string) (int64, error) {
		if s == "*" {
			return -1, nil
		}
		return strconv.ParseInt(s, 10, 64)
	}
	major, err := number(m[2])
	if err != nil {
		return DeviceRule{}, invalidf("invalid major value in device cgroup rule format: '%s'", s)
	}
	minor, err := number(m[3])
	if err != nil {
		return DeviceRule{}, invalidf("invalid minor value in device cgroup rule format: '%s'", s)
	}
	return DeviceRule{Type: m[1], Major: major, Minor: minor, Access: m[4]}, nil
}
