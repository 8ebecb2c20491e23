package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// matcher finds the route of a path. fasthttp/router does it wherever it can; it cannot match "{name:*}" before the end
// of a path, so routes with a name of many segments in their middle are registered there behind one catch-all of their
// prefix, and told apart by their suffix. Variables are registered by their position, so that routes may name them
// differently.
type matcher struct {
	router *router.Router
	tails  map[string]*tail
}

// tail holds the routes of one method and one prefix that have "{name:*}" behind it, the longest suffix first.
type tail struct {
	routes []*deepRoute
}

type deepRoute struct {
	route          *Route
	prefix, suffix string
	name           string
}

// hit is what a handler in the router's tree leaves in the request's user values; it is never more than a pointer.
type hit struct {
	route *Route
	names []string
	tail  *tail
}

const hitKey = "\x00hit"

func newMatcher(routes []Route) (*matcher, error) {
	m := &matcher{router: router.New(), tails: map[string]*tail{}}
	seen := map[string]bool{}
	for i := range routes {
		route := &routes[i]
		if err := m.add(route, seen); err != nil {
			return nil, fmt.Errorf("route %s %s: %w", route.Method, route.Path, err)
		}
	}
	return m, nil
}

func (m *matcher) add(route *Route, seen map[string]bool) error {
	names, pattern, err := parsePath(route.Path)
	if err != nil {
		return err
	}
	key := route.Method + " " + pattern
	if seen[key] {
		return fmt.Errorf("there is such a route already")
	}
	seen[key] = true
	if strings.Contains(route.Path, ":*}") {
		m.addDeep(route)
		return nil
	}
	m.router.Handle(route.Method, pattern, leave(&hit{route: route, names: names}))
	return nil
}

// parsePath checks a path; it gives its variables' names, and the path with their positions instead.
func parsePath(path string) (names []string, pattern string, err error) {
	if !strings.HasPrefix(path, "/") {
		return nil, "", fmt.Errorf("the path must begin with a slash")
	}
	segments := strings.Split(path, "/")
	many := false
	for i, segment := range segments {
		inner, isVariable := strings.CutPrefix(segment, "{")
		if !isVariable {
			if strings.ContainsAny(segment, "{}") {
				return nil, "", fmt.Errorf("a variable must be a whole segment")
			}
			continue
		}
		name, ok := strings.CutSuffix(inner, "}")
		name, deep := strings.CutSuffix(name, ":*")
		if !ok || name == "" || strings.ContainsAny(name, "{}:?*") {
			return nil, "", fmt.Errorf("%s is not a variable", segment)
		}
		segments[i] = "{" + strconv.Itoa(len(names)) + "}"
		names = append(names, name)
		many = many || deep
	}
	if many && len(names) > 1 {
		return nil, "", fmt.Errorf("{name:*} must be the only variable")
	}
	return names, strings.Join(segments, "/"), nil
}

func leave(h *hit) fasthttp.RequestHandler {
	return func(fc *fasthttp.RequestCtx) { fc.SetUserValue(hitKey, h) }
}

// addDeep registers a route with "{name:*}" in it.
func (m *matcher) addDeep(route *Route) {
	open, end := strings.IndexByte(route.Path, '{'), strings.IndexByte(route.Path, '}')
	deep := &deepRoute{route: route, prefix: route.Path[:open], suffix: route.Path[end+1:],
		name: strings.TrimSuffix(route.Path[open+1:end], ":*")}
	key := route.Method + " " + deep.prefix
	group := m.tails[key]
	if group == nil {
		group = &tail{}
		m.tails[key] = group
		m.router.Handle(route.Method, deep.prefix+"{rest:*}", leave(&hit{tail: group}))
	}
	// The longest suffix is tried first, so that "/images/{name:*}" does not hide "/images/{name:*}/json".
	at := slices.IndexFunc(group.routes, func(r *deepRoute) bool { return len(r.suffix) < len(deep.suffix) })
	if at < 0 {
		at = len(group.routes)
	}
	group.routes = slices.Insert(group.routes, at, deep)
}

// find returns the route of an unversioned path and what its variables matched.
func (m *matcher) find(fc *fasthttp.RequestCtx, method, path string) (*Route, []pathVar) {
	handler, _ := m.router.Lookup(method, path, fc)
	if handler == nil {
		return nil, nil
	}
	handler(fc)
	h, _ := fc.UserValue(hitKey).(*hit)
	switch {
	case h == nil:
		return nil, nil
	case h.tail != nil:
		return h.tail.find(path)
	}
	var vars []pathVar
	for i, name := range h.names {
		value, _ := fc.UserValue(strconv.Itoa(i)).(string)
		vars = append(vars, pathVar{name, value})
	}
	return h.route, vars
}

func (t *tail) find(path string) (*Route, []pathVar) {
	for _, deep := range t.routes {
		rest, below := strings.CutPrefix(path, deep.prefix)
		name, ok := strings.CutSuffix(rest, deep.suffix)
		if below && ok && name != "" && !strings.HasSuffix(name, "/") {
			return deep.route, []pathVar{{deep.name, name}}
		}
	}
	return nil, nil
}
