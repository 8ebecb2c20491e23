package logs

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/docker/go-units"
)

// The drivers.
const (
	JSONFile = "json-file"
	Local    = "local"
	None     = "none"
)

// Drivers lists the names of the drivers, sorted.
func Drivers() []string { return []string{JSONFile, Local, None} }

// Config describes the log of a container. What follows Dir is what tags and attributes are made of.
type Config struct {
	Driver  string
	Options map[string]string // Docker's log options.
	Dir     string            // the container's directory; it exists.

	ContainerID string
	Name        string // with or without the leading slash.
	Entrypoint  string
	Args        []string
	ImageID     string
	ImageName   string
	Created     time.Time
	Env         []string
	Labels      map[string]string
	DaemonName  string // "docker" when empty.
}

// settings are the options that shape the file.
type settings struct {
	maxSize  int64 // -1: no limit.
	maxFile  int
	compress bool
}

var commonOptions = map[string]bool{
	"max-size": true, "max-file": true, "compress": true,
	"labels": true, "labels-regex": true, "env": true, "env-regex": true, "tag": true,
}

// Validate checks a driver and its options in the way and in the words of Docker. Options that the container's
// start would refuse are refused here already.
func Validate(driver string, options map[string]string) error {
	if driver == None {
		return nil
	}
	if m := options["mode"]; m != "" && m != "blocking" && m != "non-blocking" {
		return invalid("logger: logging mode not supported: " + m)
	}
	if s, ok := options["max-buffer-size"]; ok {
		if options["mode"] != "non-blocking" {
			return invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
		}
		if _, err := units.RAMInBytes(s); err != nil {
			return invalid("error parsing option max-buffer-size: " + err.Error())
		}
	}
	if driver != JSONFile && driver != Local {
		return invalid(fmt.Sprintf("logger: no log driver named '%s' is registered", driver))
	}
	for _, k := range sortedKeys(options) {
		if commonOptions[k] || k == "mode" || k == "max-buffer-size" {
			continue
		}
		if driver == Local {
			return invalid(fmt.Sprintf("unknown log opt '%s' for log driver local", k))
		}
		return invalid(fmt.Sprintf("unknown log opt '%s' for json-file log driver", k))
	}
	if _, err := parseSettings(driver, options); err != nil {
		return err
	}
	for _, k := range []string{"labels-regex", "env-regex"} {
		if _, err := regexp.Compile(options[k]); err != nil {
			return invalid(err.Error())
		}
	}
	_, err := parseTag(options["tag"])
	return err
}

func parseSettings(driver string, o map[string]string) (settings, error) {
	if driver == Local {
		return parseLocal(o)
	}
	s := settings{maxSize: -1, maxFile: 1}
	var err error
	if v, ok := o["max-size"]; ok {
		if s.maxSize, err = units.FromHumanSize(v); err != nil {
			return s, invalid(err.Error())
		}
		if s.maxSize <= 0 {
			return s, invalid("max-size must be a positive number")
		}
	}
	if v, ok := o["max-file"]; ok {
		if s.maxFile, err = strconv.Atoi(v); err != nil {
			return s, invalid(err.Error())
		}
		if s.maxFile < 1 {
			return s, invalid("max-file cannot be less than 1")
		}
	}
	if v, ok := o["compress"]; ok {
		if s.compress, err = strconv.ParseBool(v); err != nil {
			return s, invalid(err.Error())
		}
		if s.compress && (s.maxFile == 1 || s.maxSize == -1) {
			return s, invalid("compress cannot be true when max-file is less than 2 or max-size is not set")
		}
	}
	return s, tooMany(s.maxFile)
}

// maxFiles bounds max-file: every rotation renames them all, every reader opens them all.
const maxFiles = 1000

func tooMany(files int) error {
	if files > maxFiles {
		return invalid(fmt.Sprintf("max-file cannot be more than %d", maxFiles))
	}
	return nil
}

func parseLocal(o map[string]string) (settings, error) {
	s := settings{maxSize: 20 << 20, maxFile: 5, compress: true}
	var err error
	if v, ok := o["max-size"]; ok {
		if s.maxSize, err = units.FromHumanSize(v); err != nil {
			return s, invalid(fmt.Sprintf("invalid value for max-size: %s: %v", v, err))
		}
	}
	if v, ok := o["max-file"]; ok {
		if s.maxFile, err = strconv.Atoi(v); err != nil {
			return s, invalid(fmt.Sprintf("invalid value for max-file: %s: %v", v, err))
		}
	}
	if v, ok := o["compress"]; ok {
		if s.compress, err = strconv.ParseBool(v); err != nil {
			return s, invalid(fmt.Sprintf("invalid boolean value for compress: %v", err))
		}
	}
	switch {
	case s.maxSize < 0:
		return s, invalid("max-size must not be negative")
	case s.maxFile < 0:
		return s, invalid("max-file must not be negative")
	case s.compress && s.maxFile <= 1:
		return s, invalid("compression cannot be enabled when max file count is 1")
	}
	s.maxFile = max(s.maxFile, 1)
	return s, tooMany(s.maxFile)
}
