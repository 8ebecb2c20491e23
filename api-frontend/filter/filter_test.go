package filter_test

import (
	"testing"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text string
		want []string
		err  string
	}{
		{"", nil, ""},
		{"{}", nil, ""},
		{"null", nil, ""},
		{`{"label":{"b":true,"a":true}}`, []string{"a", "b"}, ""},
		{`{"label":["b","a","a"]}`, []string{"a", "b"}, ""},
		{`{"label":null}`, nil, ""},
		{`{"label":"a"}`, nil, "invalid filter"},
		{`[]`, nil, "invalid filter"},
		{`{"label":`, nil, "invalid filter"},
	}
	for _, tt := range tests {
		f, err := filter.Parse(tt.text)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err || !errdefs.IsInvalidArgument(err) {
				t.Errorf("%s: got %v, want %s", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.want, f.Get("label")); diff != "" {
			t.Errorf("%s: %s", tt.text, diff)
		}
	}
}

func TestMatches(t *testing.T) {
	f := filter.Of("name", "web", "name", "^db[0-9]$", "label", "a=1", "label", "b", "bad", "[")
	labels := map[string]string{"a": "1", "b": "x"}
	tests := []struct {
		what string
		got  bool
		want bool
	}{
		{"absent key", f.ExactMatch("id", "x"), true},
		{"exact", f.ExactMatch("name", "web"), true},
		{"not exact", f.ExactMatch("name", "web1"), false},
		{"fuzzy", f.FuzzyMatch("name", "web1"), true},
		{"not fuzzy", f.FuzzyMatch("name", "xweb"), false},
		{"expression", f.Match("name", "db7"), true},
		{"substring", f.Match("name", "/web/"), true},
		{"no expression", f.Match("bad", "x"), false},
		{"broken expression, exact", f.Match("bad", "["), true},
		{"pairs", f.MatchKVList("label", labels), true},
		{"wrong value", f.MatchKVList("label", map[string]string{"a": "2", "b": ""}), false},
		{"no labels", f.MatchKVList("label", nil), false},
		{"no filter", f.MatchKVList("id", nil), true},
		{"two values are not unique", f.UniqueExactMatch("name", "web"), false},
		{"unique", f.UniqueExactMatch("bad", "["), true},
		{"zero value", filter.Filter{}.Match("x", "y"), true},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.what, tt.got, tt.want)
		}
	}
}

func TestSentences(t *testing.T) {
	f := filter.Of("dangling", "maybe", "odd", "1")
	if _, err := f.Bool("dangling", false); err == nil || err.Error() != "invalid filter 'dangling=[maybe]'" {
		t.Errorf("bool: %v", err)
	}
	if v, err := f.Bool("odd", false); err != nil || !v {
		t.Errorf("odd: %v, %v", v, err)
	}
	if v, err := f.Bool("none", true); err != nil || !v {
		t.Errorf("none: %v, %v", v, err)
	}
	if err := f.Validate("dangling"); err == nil || err.Error() != "invalid filter 'odd'" {
		t.Errorf("validate: %v", err)
	}
	if err := f.Validate("dangling", "odd"); err != nil {
		t.Errorf("validate: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"label":{"a":true}}`)
	f.Add(`{"label":["a"]}`)
	f.Add(`{"a":null,"b":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		args, err := filter.Parse(text)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		for _, key := range args.Keys() {
			args.Match(key, "x")
			args.MatchKVList(key, map[string]string{"x": ""})
		}
	})
}
