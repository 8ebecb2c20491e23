package logs

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// attributes selects the labels and variables that the options name, and the tag, as a JSON object; nil for none.
func attributes(c Config) ([]byte, error) {
	env := make(map[string]string, len(c.Env))
	for _, e := range c.Env {
		if k, v, ok := strings.Cut(e, "="); ok {
			env[k] = v
		}
	}
	attrs := make(map[string]string)
	for _, from := range []struct {
		values      map[string]string
		list, regex string
	}{
		{c.Labels, c.Options["labels"], c.Options["labels-regex"]},
		{env, c.Options["env"], c.Options["env-regex"]},
	} {
		for _, k := range strings.Split(from.list, ",") {
			if v, ok := from.values[k]; ok && from.list != "" {
				attrs[k] = v
			}
		}
		if from.regex == "" {
			continue
		}
		re, err := regexp.Compile(from.regex)
		if err != nil {
			return nil, invalid(err.Error())
		}
		for k, v := range from.values {
			if re.MatchString(k) {
				attrs[k] = v
			}
		}
	}
	tag, err := tag(c)
	if err != nil {
		return nil, err
	}
	if tag != "" {
		attrs["tag"] = tag
	}
	if len(attrs) == 0 {
		return nil, nil
	}
	return json.Marshal(attrs)
}

// tagInfo is what a tag's template may name: Docker's fields and methods.
type tagInfo struct {
	Config              map[string]string
	ContainerID         string
	ContainerName       string
	ContainerEntrypoint string
	ContainerArgs       []string
	ContainerImageID    string
	ContainerImageName  string
	ContainerCreated    any
	ContainerEnv        []string
	ContainerLabels     map[string]string
	LogPath             string
	DaemonName          string
}

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// ID is the short ID of the container.
func (t *tagInfo) ID() string { return short(t.ContainerID) }

// FullID is the ID of the container.
func (t *tagInfo) FullID() string { return t.ContainerID }

// Name is the name of the container without its slash.
func (t *tagInfo) Name() string { return strings.TrimPrefix(t.ContainerName, "/") }

// ImageID is the first 12 characters of the image's ID, as in Docker with its "sha256:".
func (t *tagInfo) ImageID() string { return short(t.ContainerImageID) }

// ImageFullID is the ID of the image.
func (t *tagInfo) ImageFullID() string { return t.ContainerImageID }

// ImageName is the name that the container was created from.
func (t *tagInfo) ImageName() string { return t.ContainerImageName }

// Command is the entry point with its arguments.
func (t *tagInfo) Command() string {
	return strings.Join(append([]string{t.ContainerEntrypoint}, t.ContainerArgs...), " ")
}

func parseTag(s string) (*template.Template, error) {
	t, err := template.New("log-tag").Funcs(template.FuncMap{
		"json": func(v any) string {
			var b strings.Builder
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(v); err != nil {
				return ""
			}
			return strings.TrimSpace(b.String())
		},
		"split": strings.Split,
		"join":  strings.Join,
		"title": strings.Title, //nolint:staticcheck // Docker's function of templates.
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"pad": func(s string, prefix, suffix int) string {
			if s == "" {
				return s
			}
			return strings.Repeat(" ", min(max(prefix, 0), 1024)) + s + strings.Repeat(" ", min(max(suffix, 0), 1024))
		},
		"truncate": func(s string, n int) string { return s[:min(len(s), max(n, 0))] },
	}).Parse(s)
	if err != nil {
		return nil, invalid(err.Error())
	}
	return t, nil
}

func tag(c Config) (string, error) {
	if c.Options["tag"] == "" {
		return "", nil
	}
	t, err := parseTag(c.Options["tag"])
	if err != nil {
		return "", err
	}
	name := c.DaemonName
	if name == "" {
		name = "docker"
	}
	var b strings.Builder
	err = t.Execute(&b, &tagInfo{
		Config: c.Options, ContainerID: c.ContainerID, ContainerName: c.Name, ContainerEntrypoint: c.Entrypoint,
		ContainerArgs: c.Args, ContainerImageID: c.ImageID, ContainerImageName: c.ImageName, ContainerCreated: c.Created,
		ContainerEnv: c.Env, ContainerLabels: c.Labels, DaemonName: name,
	})
	if err != nil {
		return "", invalid(err.Error())
	}
	return b.String(), nil
}
