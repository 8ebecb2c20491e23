package filter

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// Filter maps each key to the set of its values. The zero Filter lets everything pass.
type Filter struct {
	fields map[string]map[string]bool
}

// Invalid is Docker's refusal of a filter: of the whole parameter, of a key, or of a key's values.
type Invalid struct {
	Key    string
	Values []string
}

// Error says it in Docker's words.
func (e *Invalid) Error() string {
	switch {
	case e.Key == "":
		return "invalid filter"
	case e.Values == nil:
		return "invalid filter '" + e.Key + "'"
	default:
		return fmt.Sprintf("invalid filter '%s=%s'", e.Key, e.Values)
	}
}

// Unwrap classifies the error.
func (e *Invalid) Unwrap() error { return errdefs.ErrInvalidArgument }

// Parse decodes the parameter: {"key":{"value":true}}, or the older {"key":["value"]}. Empty text is no filter.
func Parse(text string) (Filter, error) {
	if text == "" {
		return Filter{}, nil
	}
	var fields map[string]map[string]bool
	if err := json.Unmarshal([]byte(text), &fields); err == nil {
		return Filter{fields}, nil
	}
	var lists map[string][]string
	if err := json.Unmarshal([]byte(text), &lists); err != nil {
		return Filter{}, &Invalid{}
	}
	fields = make(map[string]map[string]bool, len(lists))
	for key, values := range lists {
		set := make(map[string]bool, len(values))
		for _, value := range values {
			set[value] = true
		}
		fields[key] = set
	}
	return Filter{fields}, nil
}

// Of makes a filter from keys and values in turn, for callers inside the engine.
func Of(pairs ...string) Filter {
	f := Filter{map[string]map[string]bool{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if f.fields[pairs[i]] == nil {
			f.fields[pairs[i]] = map[string]bool{}
		}
		f.fields[pairs[i]][pairs[i+1]] = true
	}
	return f
}

// Len is the number of keys.
func (f Filter) Len() int { return len(f.fields) }

// Contains says whether the key is there, with or without values.
func (f Filter) Contains(key string) bool {
	_, ok := f.fields[key]
	return ok
}

// Keys returns the keys, sorted.
func (f Filter) Keys() []string { return slices.Sorted(maps.Keys(f.fields)) }

// Get returns the values of a key, sorted.
func (f Filter) Get(key string) []string { return slices.Sorted(maps.Keys(f.fields[key])) }

// Validate refuses keys other than the accepted ones.
func (f Filter) Validate(accepted ...string) error {
	for _, key := range f.Keys() {
		if !slices.Contains(accepted, key) {
			return &Invalid{Key: key}
		}
	}
	return nil
}

// ExactMatch says whether source is one of the key's values.
func (f Filter) ExactMatch(key, source string) bool {
	values := f.fields[key]
	return len(values) == 0 || values[source]
}

// UniqueExactMatch says whether source is the key's only value.
func (f Filter) UniqueExactMatch(key, source string) bool {
	values := f.fields[key]
	return len(values) == 0 || len(values) == 1 && values[source]
}

// FuzzyMatch says whether source is one of the key's values or begins with one.
func (f Filter) FuzzyMatch(key, source string) bool {
	if f.ExactMatch(key, source) {
		return true
	}
	for prefix := range f.fields[key] {
		if strings.HasPrefix(source, prefix) {
			return true
		}
	}
	return false
}

// Match says whether source is one of the key's values or matches one as a regular expression.
func (f Filter) Match(key, source string) bool {
	if f.ExactMatch(key, source) {
		return true
	}
	for pattern := range f.fields[key] {
		// A value that is no expression was compared above; that is all it can match.
		if ok, err := regexp.MatchString(pattern, source); err == nil && ok {
			return true
		}
	}
	return false
}

// MatchKVList says whether every value of the key, "name" or "name=value", is in source.
func (f Filter) MatchKVList(key string, source map[string]string) bool {
	for pair := range f.fields[key] {
		name, want, hasValue := strings.Cut(pair, "=")
		got, ok := source[name]
		if !ok || hasValue && got != want {
			return false
		}
	}
	return true
}

// Bool reads a key as one truth value; an absent key is def, a contradiction or nonsense is an error.
func (f Filter) Bool(key string, def bool) (bool, error) {
	values, ok := f.fields[key]
	if !ok {
		return def, nil
	}
	if len(values) == 0 {
		return def, &Invalid{Key: key}
	}
	no, yes := values["0"] || values["false"], values["1"] || values["true"]
	if no == yes {
		return def, &Invalid{key, f.Get(key)}
	}
	return yes, nil
}

// Walk calls do with each value of a key, sorted, until it fails.
func (f Filter) Walk(key string, do func(value string) error) error {
	for _, value := range f.Get(key) {
		if err := do(value); err != nil {
			return err
		}
	}
	return nil
}
