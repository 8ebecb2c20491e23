package speccheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// Option changes what is checked.
type Option func(*checker)

// Ignore lets fields be there that the specification does not know. A name is a field's path without indexes:
// "NetworkSettings.Bridge", or "Config.*" for all of an object.
func Ignore(names ...string) Option {
	return func(c *checker) { c.ignored = append(c.ignored, names...) }
}

// Answer compares a JSON body with the schema of an operation's answer. The path is the specification's
// ("/containers/{id}/json"). A status without a schema wants an empty body.
func Answer(t testing.TB, method, path string, status int, body []byte, options ...Option) {
	t.Helper()
	spec, err := load()
	if err != nil {
		t.Fatal(err)
	}
	sch, err := spec.answer(method, path, status)
	if err != nil {
		t.Error(err)
		return
	}
	if sch == nil {
		if len(bytes.TrimSpace(body)) > 0 {
			t.Errorf("%s %s: %d has no body in the specification, got %.200s", method, path, status, body)
		}
		return
	}
	report(t, spec, fmt.Sprintf("%s %s %d", method, path, status), sch, body, options)
}

// Definition compares a JSON text with a named definition: one line of a stream, for example.
func Definition(t testing.TB, name string, body []byte, options ...Option) {
	t.Helper()
	spec, err := load()
	if err != nil {
		t.Fatal(err)
	}
	report(t, spec, name, &schema{Ref: "#/definitions/" + name}, body, options)
}

func report(t testing.TB, spec *specification, what string, sch *schema, body []byte, options []Option) {
	t.Helper()
	for _, problem := range check(spec, sch, body, options) {
		t.Errorf("%s: %s", what, problem)
	}
}

func check(spec *specification, sch *schema, body []byte, options []Option) []string {
	c := &checker{spec: spec}
	for _, o := range options {
		o(c)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return []string{fmt.Sprintf("not JSON: %v", err)}
	}
	c.value("", sch, value)
	return c.problems
}

type checker struct {
	spec     *specification
	ignored  []string
	problems []string
}

func (c *checker) problem(at, format string, args ...any) {
	if at == "" {
		at = "."
	}
	c.problems = append(c.problems, at+": "+fmt.Sprintf(format, args...))
}

func (c *checker) value(at string, sch *schema, value any) {
	nullable := sch.Nullable
	sch, err := c.spec.resolve(sch)
	if err != nil {
		c.problem(at, "%v", err)
		return
	}
	if sch, err = c.flatten(sch); err != nil {
		c.problem(at, "%v", err)
		return
	}
	if value == nil {
		if isScalar(sch.Type) && !nullable && !sch.Nullable && !slices.Contains(sentNull, at[strings.LastIndexByte(at, '.')+1:]) {
			c.problem(at, "null instead of %s", sch.Type)
		}
		return
	}
	switch {
	case sch.Type == "object" || sch.Properties != nil:
		c.object(at, sch, value)
	case sch.Type == "array":
		c.array(at, sch, value)
	case sch.Type != "":
		c.scalar(at, sch, value)
	}
}

// sentNull are fields that dockerd answers with null, which the specification does not say.
var sentNull = []string{"MemorySwappiness", "OomKillDisable", "ExitCode"}

func isScalar(kind string) bool {
	return kind == "string" || kind == "integer" || kind == "number" || kind == "boolean"
}

func (c *checker) array(at string, sch *schema, value any) {
	list, ok := value.([]any)
	if !ok {
		c.problem(at, "%T instead of an array", value)
		return
	}
	for _, item := range list {
		if sch.Items != nil {
			c.value(at+"[]", sch.Items, item)
		}
	}
}

func (c *checker) object(at string, sch *schema, value any) {
	fields, ok := value.(map[string]any)
	if !ok {
		c.problem(at, "%T instead of an object", value)
		return
	}
	whole := sch
	for _, name := range whole.Required {
		if _, ok := fields[name]; !ok {
			c.problem(at, "required field %s is missing", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		inner := strings.TrimPrefix(at+"."+name, ".")
		switch property := whole.Properties[name]; {
		case property != nil:
			c.value(inner, property, fields[name])
		case whole.Additional != nil && whole.Additional.schema != nil:
			c.value(inner, whole.Additional.schema, fields[name])
		case whole.Additional != nil && !whole.Additional.none, len(whole.Properties) == 0:
		case !c.ignores(inner):
			c.problem(inner, "the specification has no such field")
		}
	}
}

func (c *checker) ignores(at string) bool {
	at = strings.ReplaceAll(at, "[]", "")
	return slices.ContainsFunc(c.ignored, func(name string) bool {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			return strings.HasPrefix(at, prefix)
		}
		return strings.TrimPrefix(at, ".") == name
	})
}

// flatten joins the parts of allOf: the fields of objects, or one scalar and what is said about it.
func (c *checker) flatten(sch *schema) (*schema, error) {
	if len(sch.AllOf) == 0 {
		return sch, nil
	}
	whole := &schema{Properties: maps.Clone(sch.Properties), Required: slices.Clone(sch.Required), Additional: sch.Additional}
	if whole.Properties == nil {
		whole.Properties = map[string]*schema{}
	}
	for _, part := range sch.AllOf {
		part, err := c.spec.resolve(part)
		if err != nil {
			return nil, err
		}
		if part, err = c.flatten(part); err != nil {
			return nil, err
		}
		if isScalar(part.Type) {
			scalar := *part
			scalar.Nullable = scalar.Nullable || sch.Nullable
			return &scalar, nil
		}
		maps.Copy(whole.Properties, part.Properties)
		whole.Required = append(whole.Required, part.Required...)
		if whole.Additional == nil {
			whole.Additional = part.Additional
		}
	}
	return whole, nil
}

func (c *checker) scalar(at string, sch *schema, value any) {
	switch sch.Type {
	case "string":
		text, ok := value.(string)
		if !ok {
			c.problem(at, "%T instead of a string", value)
			return
		}
		c.text(at, sch, text)
	case "boolean":
		if _, ok := value.(bool); !ok {
			c.problem(at, "%T instead of a boolean", value)
		}
	case "integer", "number":
		number, ok := value.(json.Number)
		if !ok {
			c.problem(at, "%T instead of a number", value)
			return
		}
		c.number(at, sch, number)
	}
}

func (c *checker) text(at string, sch *schema, text string) {
	if len(sch.Enum) > 0 && !slices.ContainsFunc(sch.Enum, func(v any) bool { return fmt.Sprint(v) == text }) {
		c.problem(at, "%q is not one of %v", text, sch.Enum)
	}
	if strings.EqualFold(sch.Format, "dateTime") || strings.EqualFold(sch.Format, "date-time") {
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil && text != "" {
			c.problem(at, "%q is not a time", text)
		}
	}
}

func (c *checker) number(at string, sch *schema, number json.Number) {
	if sch.Type == "number" {
		return
	}
	n, err := number.Int64()
	if err != nil && sch.Format != "uint64" {
		c.problem(at, "%s is not an integer", number)
		return
	}
	unsigned := strings.HasPrefix(sch.Format, "uint")
	if unsigned && strings.HasPrefix(number.String(), "-") ||
		sch.Format == "int32" && (n > math.MaxInt32 || n < math.MinInt32) ||
		sch.Format == "uint16" && n > math.MaxUint16 {
		c.problem(at, "%s is out of the range of %s", number, sch.Format)
	}
}
