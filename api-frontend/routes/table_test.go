package routes

import (
	"slices"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
)

func TestTable(t *testing.T) {
	one := []server.Route{{Method: "POST", Path: "/b"}, {Method: "GET", Path: "/b"}}
	two := []server.Route{{Method: "GET", Path: "/a"}}
	table, err := Table(one, two)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(table, compare) || len(table) != 3 || table[0].Path != "/a" || table[1].Method != "GET" {
		t.Errorf("not sorted: %+v", table)
	}
	if _, err := Table(one, one); err == nil {
		t.Error("a route may be there twice")
	}
}
