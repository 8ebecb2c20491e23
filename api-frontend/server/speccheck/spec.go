package speccheck

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// schema is the part of a Swagger 2 schema that the specification uses.
type schema struct {
	Ref        string             `yaml:"$ref"`
	Type       string             `yaml:"type"`
	Format     string             `yaml:"format"`
	Nullable   bool               `yaml:"x-nullable"`
	Required   []string           `yaml:"required"`
	Properties map[string]*schema `yaml:"properties"`
	Additional *additional        `yaml:"additionalProperties"`
	Items      *schema            `yaml:"items"`
	AllOf      []*schema          `yaml:"allOf"`
	Enum       []any              `yaml:"enum"`
}

// additional is false, true, or a schema.
type additional struct {
	none   bool
	schema *schema
}

// UnmarshalYAML reads either form.
func (a *additional) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		var any bool
		if err := node.Decode(&any); err != nil {
			return err
		}
		a.none = !any
		return nil
	}
	a.schema = &schema{}
	return node.Decode(a.schema)
}

type response struct {
	Ref    string  `yaml:"$ref"`
	Schema *schema `yaml:"schema"`
}

type operation struct {
	Responses map[string]response `yaml:"responses"`
}

type specification struct {
	Definitions map[string]*schema              `yaml:"definitions"`
	Responses   map[string]response             `yaml:"responses"`
	Paths       map[string]map[string]yaml.Node `yaml:"paths"`
}

const module = "github.com/moby/moby/api"

// load reads the specification once, from the module's directory in the module cache.
var load = sync.OnceValues(func() (*specification, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("find module %s: %w", module, err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "docs", "v1.51.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read specification: %w", err)
	}
	spec := &specification{}
	if err := yaml.Unmarshal(text, spec); err != nil {
		return nil, fmt.Errorf("parse specification: %w", err)
	}
	return spec, nil
})

// answer finds the schema of an operation's answer; nil means that the specification gives none.
func (s *specification) answer(method, path string, status int) (*schema, error) {
	node, ok := s.Paths[path][strings.ToLower(method)]
	if !ok {
		return nil, fmt.Errorf("the specification has no %s %s", method, path)
	}
	var op operation
	if err := node.Decode(&op); err != nil {
		return nil, fmt.Errorf("parse %s %s: %w", method, path, err)
	}
	resp, ok := op.Responses[fmt.Sprint(status)]
	if !ok {
		return nil, fmt.Errorf("the specification has no status %d for %s %s", status, method, path)
	}
	if name, ok := strings.CutPrefix(resp.Ref, "#/responses/"); ok {
		resp = s.Responses[name]
	}
	return resp.Schema, nil
}

// resolve follows a reference.
func (s *specification) resolve(sch *schema) (*schema, error) {
	for sch.Ref != "" {
		name := strings.TrimPrefix(sch.Ref, "#/definitions/")
		next, ok := s.Definitions[name]
		if !ok {
			return nil, fmt.Errorf("the specification has no definition %s", name)
		}
		sch = next
	}
	return sch, nil
}
