package server

import (
	"fmt"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// matcher finds the route of a path. fasthttp/router does it wherever it can; it cannot match "{name:*}" before the end
// of a path, so routes with a name of many segments in their middle are registered there behind one catch-all of their
// first segment, and told apart by their suffix.
type matcher struct {
	router *router.Router
	// found carries the entry out of the router's tree: the router's handlers are never run as handlers.
	entries map[string]*tail
}

// tail holds the routes of one method and one first segment that have "{name:*}" in them.
type tail struct {
	routes []*deepRoute
}

type deepRoute struct {
	route          *Route
	prefix, suffix string
	name           string
}

// match is what a lookup leaves in the request's user values.
type match struct {
	route *Route
	deep  *tail
}

const (
	matchKey = "\x00match"
	deepVar  = "\x00rest"
)

func newMatcher(routes []Route) (*matcher, error) {
	m := &matcher{router: router.New(), entries: map[string]*tail{}}
	seen := map[string]bool{}
	for i := range routes {
		route := &routes[i]
		key := route.Method + " " + route.Path
		if seen[key] {
			return nil, fmt.Errorf("route %s is there twice", key)
		}
		seen[key] = true
		if strings.Contains(route.Path, ":*}") {
			if err := m.addDeep(route); err != nil {
				return nil, err
			}
			continue
		}
		m.router.Handle(route.Method, route.Path, found(match{route: route}))
	}
	return m, nil
}

func found(hit match) fasthttp.RequestHandler {
	return func(fc *fasthttp.RequestCtx) { fc.SetUserValue(matchKey, hit) }
}

// addDeep registers a route with "{name:*}" in it.
func (m *matcher) addDeep(route *Route) error {
	open := strings.IndexByte(route.Path, '{')
	end := strings.IndexByte(route.Path, '}')
	name, ok := strings.CutSuffix(route.Path[open+1:end], ":*")
	if !ok || strings.ContainsAny(route.Path[end+1:], "{}") {
		return fmt.Errorf("route %s %s: {name:*} must be the only variable", route.Method, route.Path)
	}
	deep := &deepRoute{route: route, prefix: route.Path[:open], suffix: route.Path[end+1:], name: name}
	key := route.Method + " " + deep.prefix
	group := m.entries[key]
	if group == nil {
		group = &tail{}
		m.entries[key] = group
		m.router.Handle(route.Method, deep.prefix+"{"+deepVar+":*}", found(match{deep: group}))
	}
	// The longest suffix is tried first, so that "/images/{name:*}" does not hide "/images/{name:*}/json".
	at := 0
	for at < len(group.routes) && len(group.routes[at].suffix) >= len(deep.suffix) {
		at++
	}
	group.routes = append(group.routes[:at], append([]*deepRoute{deep}, group.routes[at:]...)...)
	return nil
}

// find returns the route of an unversioned path and what its variables matched.
func (m *matcher) find(fc *fasthttp.RequestCtx, method, path string) (*Route, []pathVar) {
	handler, _ := m.router.Lookup(method, path, fc)
	if handler == nil {
		return nil, nil
	}
	handler(fc)
	hit, _ := fc.UserValue(matchKey).(match)
	if hit.deep != nil {
		return hit.deep.find(path)
	}
	return hit.route, variables(fc)
}

func variables(fc *fasthttp.RequestCtx) []pathVar {
	var vars []pathVar
	fc.VisitUserValuesAll(func(k, v any) {
		name, ok := k.(string)
		value, isString := v.(string)
		if ok && isString && name[0] != 0 {
			vars = append(vars, pathVar{name, value})
		}
	})
	return vars
}

func (t *tail) find(path string) (*Route, []pathVar) {
	for _, deep := range t.routes {
		rest := path[len(deep.prefix):]
		if name, ok := strings.CutSuffix(rest, deep.suffix); ok && name != "" && !strings.HasSuffix(name, "/") {
			return deep.route, []pathVar{{deep.name, name}}
		}
	}
	return nil, nil
}
