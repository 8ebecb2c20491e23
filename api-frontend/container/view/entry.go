package view

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Entry is a record rendered for the list but for what changes by itself. Make a new one for a changed record.
type Entry struct {
	Record *record.Container

	head, middle, labels, hostConfig, oldHostConfig, tail []byte
}

// EntryFacts are what a list shows and a record does not hold.
type EntryFacts struct {
	Image      string // shown instead of the reference that the client gave, when that names another image by now.
	SizeRw     *int64 // nil: not asked.
	SizeRootFs *int64
}

// NewEntry renders a record, with what its run has of networks; nil: what the record alone tells.
func NewEntry(c *record.Container, settings *NetworkSettings) (*Entry, error) {
	if settings == nil {
		settings = NewNetworkSettings(c)
	}
	e := &Entry{Record: c}
	var hostConfig struct {
		NetworkMode string            `json:",omitempty"`
		Annotations map[string]string `json:",omitempty"`
	}
	hostConfig.NetworkMode = string(c.HostConfig.NetworkMode)
	parts := []struct {
		to  *[]byte
		key string
		v   any
	}{
		{&e.head, `{"Id":`, c.ID},
		{&e.head, `,"Names":`, []string{"/" + c.Name}},
		{&e.middle, `,"ImageID":`, c.ImageID},
		{&e.middle, `,"Command":`, Command(c)},
		{&e.middle, `,"Created":`, c.Created.Unix()},
		{&e.middle, `,"Ports":`, portSummaries(settings.Ports)},
		{&e.labels, `,"Labels":`, c.Config.Labels},
		{&e.labels, `,"State":`, c.State.Status},
		{&e.oldHostConfig, `,"HostConfig":`, hostConfig},
		{&e.tail, `,"NetworkSettings":`, container.NetworkSettingsSummary{Networks: networks(settings.Networks)}},
		{&e.tail, `,"Mounts":`, mounts(c)},
	}
	for _, p := range parts {
		if err := appendJSON(p.to, p.key, p.v); err != nil {
			return nil, err
		}
	}
	hostConfig.Annotations = c.HostConfig.Annotations
	if err := appendJSON(&e.hostConfig, `,"HostConfig":`, hostConfig); err != nil {
		return nil, err
	}
	e.tail = append(e.tail, '}')
	return e, nil
}

func appendJSON(to *[]byte, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	*to = append(append(*to, key...), raw...)
	return nil
}

// Append renders the entry for a version of the API. annotations: API 1.46 and newer.
func (e *Entry) Append(b []byte, now time.Time, f EntryFacts, annotations bool) []byte {
	image := f.Image
	if image == "" {
		image = e.Record.Image
	}
	b = append(b, e.head...)
	b = append(b, `,"Image":`...)
	b = appendString(b, image)
	b = append(b, e.middle...)
	b = appendSize(b, `,"SizeRw":`, f.SizeRw)
	b = appendSize(b, `,"SizeRootFs":`, f.SizeRootFs)
	b = append(b, e.labels...)
	b = append(b, `,"Status":`...)
	b = appendString(b, Status(&e.Record.State, now))
	if annotations {
		b = append(b, e.hostConfig...)
	} else {
		b = append(b, e.oldHostConfig...)
	}
	return append(b, e.tail...)
}

func appendSize(b []byte, key string, n *int64) []byte {
	if n == nil || *n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), *n, 10)
}

// appendString renders a string; what JSON must escape is left to encoding/json.
func appendString(b []byte, s string) []byte {
	if strings.IndexFunc(s, func(r rune) bool {
		return r < ' ' || r > '~' || r == '"' || r == '\\' || r == '<' || r == '>' || r == '&'
	}) < 0 {
		return append(append(append(b, '"'), s...), '"')
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // a string can always be marshalled.
	}
	return append(b, raw...)
}

// Render renders a list. facts may be nil.
func Render(entries []*Entry, now time.Time, annotations bool, facts func(*record.Container) (EntryFacts, error)) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, 2+1024*len(entries))).Bytes()
	b = append(b, '[')
	for i, e := range entries {
		var f EntryFacts
		if facts != nil {
			var err error
			if f, err = facts(e.Record); err != nil {
				return nil, err
			}
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = e.Append(b, now, f, annotations)
	}
	return append(b, "]\n"...), nil
}

// Command is the command line as tables show it.
func Command(c *record.Container) string {
	if len(c.Args) == 0 {
		return c.Path
	}
	words := make([]string, 0, 1+len(c.Args))
	words = append(words, c.Path)
	for _, a := range c.Args {
		if strings.Contains(a, " ") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// portSummary is a port as lists show it: without an address that nothing listens on.
type portSummary struct {
	IP          string `json:",omitempty"`
	PrivatePort uint16
	PublicPort  uint16 `json:",omitempty"`
	Type        string
}

func portSummaries(m network.PortMap) []portSummary {
	out := []portSummary{}
	keys := slices.SortedFunc(maps.Keys(m), func(a, b network.Port) int {
		if d := int(a.Num()) - int(b.Num()); d != 0 {
			return d
		}
		return strings.Compare(string(a.Proto()), string(b.Proto()))
	})
	for _, p := range keys {
		s := portSummary{PrivatePort: p.Num(), Type: string(p.Proto())}
		if len(m[p]) == 0 {
			out = append(out, s)
		}
		for _, b := range m[p] {
			n, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err != nil {
				continue
			}
			s.IP, s.PublicPort = address(b.HostIP), uint16(n)
			out = append(out, s)
		}
	}
	return out
}

// networks are the endpoints without what only inspect shows.
func networks(all map[string]*network.EndpointSettings) map[string]*network.EndpointSettings {
	out := map[string]*network.EndpointSettings{}
	for name, ep := range all {
		if ep == nil {
			continue
		}
		s := *ep
		s.Links, s.Aliases, s.DriverOpts, s.DNSNames = nil, nil, nil, nil
		if s.IPAMConfig != nil {
			s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: ep.IPAMConfig.IPv4Address, IPv6Address: ep.IPAMConfig.IPv6Address}
		}
		out[name] = &s
	}
	return out
}
