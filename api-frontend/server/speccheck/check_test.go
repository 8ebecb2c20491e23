package speccheck

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const tree = `{"definitions":{
 "Base":{"type":"object","required":["Id"],"properties":{"Id":{"type":"string"},"When":{"type":"string","format":"dateTime"}}},
 "Kind":{"type":"string","enum":["bind","volume"]},
 "Thing":{"allOf":[{"$ref":"#/definitions/Base"},{"type":"object","properties":{
  "Size":{"type":"integer","format":"int32"},"State":{"type":"string","enum":["on","off"]},"Maybe":{"type":"boolean","x-nullable":true},
  "Kind":{"x-nullable":true,"allOf":[{"$ref":"#/definitions/Kind"}]},"OomKillDisable":{"type":"boolean"},
  "Labels":{"type":"object","additionalProperties":{"type":"string"}},"Free":{"type":"object"},
  "List":{"type":"array","items":{"$ref":"#/definitions/Base"}}}}]}}}`

func TestCheck(t *testing.T) {
	spec := parse(t, tree)
	tests := []struct {
		body string
		want []string
	}{
		{`{"Id":"a"}`, nil},
		{`{"Id":"a","When":"2026-01-02T03:04:05Z","Size":1,"State":"on","Maybe":null,"Labels":null,"Free":{"x":1},"List":[{"Id":"b"}]}`, nil},
		{`{}`, []string{".: required field Id is missing"}},
		{`{"Id":null}`, []string{"Id: null instead of string"}},
		{`{"Id":1}`, []string{"Id: json.Number instead of a string"}},
		{`{"Id":"a","More":1}`, []string{"More: the specification has no such field"}},
		{`{"Id":"a","Known":1}`, nil},
		{`{"Id":"a","Labels":{"x":1}}`, []string{"Labels.x: json.Number instead of a string"}},
		{`{"Id":"a","List":[{"Id":"b","More":1},1]}`, []string{"List[].More: the specification has no such field", "List[]: json.Number instead of an object"}},
		{`{"Id":"a","State":"maybe"}`, []string{`State: "maybe" is not one of [on off]`}},
		{`{"Id":"a","Size":3000000000}`, []string{"Size: 3000000000 is out of the range of int32"}},
		{`{"Id":"a","Size":1.5}`, []string{"Size: 1.5 is not an integer"}},
		{`{"Id":"a","When":"yesterday"}`, []string{`When: "yesterday" is not a time`}},
		{`{"Id":"a","Kind":"bind"}`, nil},
		{`{"Id":"a","Kind":null,"OomKillDisable":null}`, nil},
		{`{"Id":"a","Kind":"other"}`, []string{`Kind: "other" is not one of [bind volume]`}},
		{`{"Id":"a","Kind":1}`, []string{"Kind: json.Number instead of a string"}},
		{`[]`, []string{".: []interface {} instead of an object"}},
		{`{`, []string{"not JSON: unexpected EOF"}},
	}
	for _, tt := range tests {
		got := check(spec, &schema{Ref: "#/definitions/Thing"}, []byte(tt.body), []Option{Ignore("Known")})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.body, diff)
		}
	}
}

func TestRealSpecification(t *testing.T) {
	Answer(t, "GET", "/volumes/{name}", 200, []byte(`{"Name":"v","Driver":"local","Mountpoint":"/m","Labels":null,"Scope":"local","Options":null}`))
	Definition(t, "ErrorResponse", []byte(`{"message":"x"}`))
	spec, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for path, methods := range spec.Paths {
		for method := range methods {
			if method == "parameters" || strings.HasPrefix(method, "x-") {
				continue
			}
			var op operation
			node := methods[method]
			if err := node.Decode(&op); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
		}
	}
}

func parse(t *testing.T, text string) *specification {
	t.Helper()
	spec := &specification{}
	if err := yaml.Unmarshal([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}
