package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the engine's flags, registered in a flag set.
type Flags struct {
	set    *pflag.FlagSet
	config *Config
	file   string
}

const fileFlag = "config-file"

// Bind registers every directive as a flag, and --config-file with the given default.
func Bind(set *pflag.FlagSet, defaultFile string) *Flags {
	f := &Flags{set: set, config: Default()}
	set.StringVar(&f.file, fileFlag, defaultFile, "Daemon configuration file")
	for _, o := range options {
		switch {
		case o.refusal != "":
			set.VarP(refusedFlag{o.flagName(), o.refusal}, o.flagName(), o.short, o.refusal)
			set.Lookup(o.flagName()).Hidden = true
			set.Lookup(o.flagName()).NoOptDefVal = "true"
		case !o.fileOnly:
			bind(set, o, f.config)
		}
	}
	return f
}

// Load reads the file and lays the flags over it. It is called after the flag set has parsed, and again to reload. A
// default file that is not there is no error.
func (f *Flags) Load() (*Config, error) {
	c := f.config.clone()
	text, err := os.ReadFile(f.file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !f.set.Changed(fileFlag):
	case err != nil:
		return nil, fmt.Errorf("unable to configure the Docker daemon with file %s: %w", f.file, err)
	default:
		if err := f.merge(c, text); err != nil {
			return nil, fmt.Errorf("unable to configure the Docker daemon with file %s: %w", f.file, err)
		}
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("merged configuration validation from file and command line flags failed: %w", err)
	}
	return c, nil
}

// merge writes the file's directives into c.
func (f *Flags) merge(c *Config, text []byte) error {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	if len(text) == 0 {
		return nil
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	if err := flatten(file); err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(file))
	if unknown := slices.DeleteFunc(slices.Clone(keys), known); len(unknown) > 0 {
		return fmt.Errorf("the following directives don't match any configuration option: %s", strings.Join(unknown, ", "))
	}
	if conflicts := f.conflicts(file, keys); len(conflicts) > 0 {
		return fmt.Errorf("the following directives are specified both as a flag and in the configuration file: %s",
			strings.Join(conflicts, ", "))
	}
	for _, key := range keys {
		o, _ := find(key)
		if o.refusal != "" {
			return refuse(key, o.refusal)
		}
		if err := read(o, c, file[key]); err != nil {
			return fmt.Errorf("invalid value for directive %s: %w", key, err)
		}
	}
	return nil
}

// read replaces an option's value by the file's.
func read(o option, c *Config, raw json.RawMessage) error {
	to := o.target(c)
	switch to := to.(type) {
	case *map[string]string:
		*to = map[string]string{}
	case *map[string]bool:
		*to = map[string]bool{}
	case *Ulimits:
		*to = Ulimits{}
	}
	return json.Unmarshal(raw, to)
}

// flatten lifts the one nested object, as dockerd does: proxies.
func flatten(file map[string]json.RawMessage) error {
	raw, ok := file["proxies"]
	if !ok {
		return nil
	}
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(raw, &inner); err != nil {
		return fmt.Errorf("invalid value for directive proxies: %w", err)
	}
	delete(file, "proxies")
	maps.Copy(file, inner)
	return nil
}

func known(key string) bool {
	_, ok := find(key)
	return ok
}

// conflicts lists directives that are in the file and were given as flags, as dockerd writes them.
func (f *Flags) conflicts(file map[string]json.RawMessage, keys []string) []string {
	var conflicts []string
	for _, key := range keys {
		o, _ := find(key)
		flag := f.set.Lookup(o.flagName())
		if flag == nil || !flag.Changed {
			continue
		}
		var value any
		if err := json.Unmarshal(file[key], &value); err != nil {
			value = string(file[key])
		}
		shown := flag.Value.String()
		if strings.HasSuffix(key, "-proxy") {
			shown, value = mask(shown), mask(fmt.Sprint(value))
		}
		conflicts = append(conflicts, fmt.Sprintf("%s: (from flag: %s, from file: %v)", key, shown, value))
	}
	return conflicts
}

// mask hides the credentials of a URL.
func mask(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return raw
	}
	u.User = url.UserPassword("xxxxx", "xxxxx")
	return u.String()
}
