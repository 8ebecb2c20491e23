package normal

import (
	"maps"
	"strconv"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// The log drivers and their options.
var logOptions = map[string]map[string]bool{
	"json-file": {"max-file": true, "max-size": true, "compress": true, "labels": true, "labels-regex": true, "env": true, "env-regex": true, "tag": true},
	"local":     {"max-file": true, "max-size": true, "compress": true},
	"none":      nil,
}

// logConfig resolves the log driver of the container and validates its options.
func (p *Prepared) logConfig() (container.LogConfig, error) {
	d := p.env.Defaults.LogConfig
	if d.Type == "" {
		d.Type = defaultDriver
	}
	log := container.LogConfig{Type: p.host.LogConfig.Type, Config: map[string]string{}}
	maps.Copy(log.Config, p.host.LogConfig.Config)
	if log.Type == "" {
		log.Type = d.Type
	}
	if log.Type == d.Type {
		for k, v := range d.Config {
			if _, ok := log.Config[k]; !ok {
				log.Config[k] = v
			}
		}
	}
	p.host.LogConfig = log
	return log, CheckLogConfig(log)
}

// CheckLogConfig validates a driver and its options; daemon.json's default goes through it too.
func CheckLogConfig(log container.LogConfig) error {
	if log.Type == "none" {
		return nil
	}
	mode := container.LogMode(log.Config["mode"])
	switch mode {
	case container.LogModeUnset, container.LogModeBlocking, container.LogModeNonBlock:
	default:
		return invalidf("logger: logging mode not supported: %s", mode)
	}
	if s, ok := log.Config["max-buffer-size"]; ok {
		if mode != container.LogModeNonBlock {
			return invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
		}
		if _, err := units.RAMInBytes(s); err != nil {
			return invalidf("error parsing option max-buffer-size: %v", err)
		}
	}
	known, ok := logOptions[log.Type]
	if !ok {
		return invalidf("logger: no log driver named '%s' is registered", log.Type)
	}
	for _, k := range sortedKeys(log.Config) {
		switch {
		case k == "mode" || k == "max-buffer-size" || known[k]:
		case log.Type == "json-file":
			return invalidf("unknown log opt '%s' for json-file log driver", k)
		default:
			return invalidf("unknown log opt '%s' for log driver %s", k, log.Type)
		}
	}
	return checkRotation(log.Config)
}

func checkRotation(o map[string]string) error {
	if s, ok := o["max-size"]; ok && s != "-1" {
		if n, err := units.FromHumanSize(s); err != nil {
			return invalidf("invalid value for max-size: %s: %v", s, err)
		} else if n < 0 {
			return invalid("max-size must be a positive number")
		}
	}
	if s, ok := o["max-file"]; ok {
		if n, err := strconv.Atoi(s); err != nil {
			return invalidf("invalid value for max-file: %s", s)
		} else if n < 1 {
			return invalid("max-file cannot be less than 1")
		}
	}
	if s, ok := o["compress"]; ok {
		if _, err := strconv.ParseBool(s); err != nil {
			return invalidf("invalid value for compress: %s", s)
		}
	}
	return nil
}
