package routes

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/arca-engine/arca/api-frontend/server"
)

// Table joins the routes of all nouns, sorted by path and method. Two routes with one method and path are an error.
func Table(groups ...[]server.Route) ([]server.Route, error) {
	table := slices.SortedFunc(slices.Values(slices.Concat(groups...)), compare)
	for i := 1; i < len(table); i++ {
		if compare(table[i-1], table[i]) == 0 {
			return nil, fmt.Errorf("route %s %s is there twice", table[i].Method, table[i].Path)
		}
	}
	return table, nil
}

func compare(a, b server.Route) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
}
