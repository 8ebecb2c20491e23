package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"
)

// Bytes is a size: a number, or text with a unit.
type Bytes int64

// UnmarshalJSON reads either form.
func (b *Bytes) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return json.Unmarshal(raw, (*int64)(b))
	}
	return b.Set(text)
}

// Set reads text with a unit.
func (b *Bytes) Set(text string) error {
	n, err := units.RAMInBytes(text)
	if err != nil {
		return err
	}
	*b = Bytes(n)
	return nil
}

// String writes the size with a unit.
func (b *Bytes) String() string { return units.BytesSize(float64(*b)) }

// Type names the value in help texts.
func (*Bytes) Type() string { return "bytes" }

// Set reads name=soft[:hard].
func (u *Ulimits) Set(text string) error {
	limit, err := units.ParseUlimit(text)
	if err != nil {
		return err
	}
	(*u)[limit.Name] = limit
	return nil
}

// String lists the limits.
func (u *Ulimits) String() string { return fmt.Sprint(u.List()) }

// Type names the value in help texts.
func (*Ulimits) Type() string { return "ulimit" }

// list is a flag that may be given many times; it replaces the default when first set.
type list struct {
	to      *[]string
	changed bool
}

func (l *list) Set(text string) error {
	if !l.changed {
		*l.to, l.changed = nil, true
	}
	*l.to = append(*l.to, text)
	return nil
}

func (l *list) String() string { return fmt.Sprint(*l.to) }
func (*list) Type() string     { return "list" }

// pairs is a flag of key=value.
type pairs struct{ to *map[string]string }

func (p pairs) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return fmt.Errorf("%q is not key=value", text)
	}
	(*p.to)[key] = value
	return nil
}

func (p pairs) String() string { return fmt.Sprint(*p.to) }
func (pairs) Type() string     { return "map" }

// switches is a flag of name=true or name=false.
type switches struct{ to *map[string]bool }

func (s switches) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	on, err := strconv.ParseBool(value)
	if ok && err != nil || name == "" {
		return fmt.Errorf("%q is not feature=true or feature=false", text)
	}
	(*s.to)[name] = on || !ok
	return nil
}

func (s switches) String() string { return fmt.Sprint(*s.to) }
func (switches) Type() string     { return "map" }

// bind registers the flag of an option.
func bind(set *pflag.FlagSet, o option, c *Config) {
	name := o.flagName()
	switch to := o.target(c).(type) {
	case *bool:
		set.BoolVarP(to, name, o.short, *to, o.usage)
	case *string:
		set.StringVarP(to, name, o.short, *to, o.usage)
	case *int:
		set.IntVarP(to, name, o.short, *to, o.usage)
	case *[]string:
		set.VarP(&list{to: to}, name, o.short, o.usage)
	case *map[string]string:
		set.VarP(pairs{to}, name, o.short, o.usage)
	case *map[string]bool:
		set.VarP(switches{to}, name, o.short, o.usage)
	case pflag.Value:
		set.VarP(to, name, o.short, o.usage)
	}
}

// refusedFlag takes a flag of dockerd's that is refused, so that the refusal says why.
type refusedFlag struct{ name, why string }

func (f refusedFlag) Set(string) error { return refuse(f.name, f.why) }
func (refusedFlag) String() string     { return "" }
func (refusedFlag) Type() string       { return "string" }

func refuse(name, why string) error {
	return fmt.Errorf("the directive %s is not supported: %s", name, why)
}

func find(key string) (option, bool) {
	at, ok := slices.BinarySearchFunc(options, key, func(o option, key string) int { return strings.Compare(o.key, key) })
	if !ok {
		return option{}, false
	}
	return options[at], true
}
