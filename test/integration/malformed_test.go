//go:build integration

package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestMalformedRequests: each is refused with 400 and a sentence that names what is wrong.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	name := arca.Sleeper(t)
	for _, tc := range []struct{ method, path, body, names string }{
		{"POST", "/containers/create", "{", "unexpected EOF"},
		{"POST", "/containers/create", "[]", "invalid JSON"},
		{"POST", "/containers/create", "null", "config cannot be empty"},
		{"POST", "/containers/create", `{"Image":1}`, "Image"},
		{"POST", "/containers/create", `{"Image":"busybox"}{}`, "unexpected content"},
		{"POST", "/containers/create", `{"Image":"busybox","HostConfig":{"Memory":"x"}}`, "Memory"},
		{"POST", "/containers/create", `{"Image":"busybox","HostConfig":{"Binds":["a"]}}`, "invalid volume specification: 'a'"},
		{"POST", "/containers/create", `{"Image":"busybox","HostConfig":{"PortBindings":{"x":[]}}}`, "port"},
		{"POST", "/containers/create", `{"Image":"busybox","ExposedPorts":{"x":{}}}`, "port"},
		{"POST", "/containers/create", `{"Image":"busybox","Healthcheck":{"Interval":5}}`, "Interval"},
		{"POST", "/containers/create?name=a+b", `{"Image":"busybox"}`, "Invalid container name (a b)"},
		{"POST", "/containers/create?platform=a/b/c/d/e", `{"Image":"busybox"}`, "platform"},
		{"POST", "/containers/" + name + "/stop?t=x", "", "parameter t"},
		{"POST", "/containers/" + name + "/restart?t=x", "", "parameter t"},
		{"POST", "/containers/" + name + "/kill?signal=x", "", "invalid signal: x"},
		{"POST", "/containers/" + name + "/wait?condition=x", "", "condition"},
		{"POST", "/containers/" + name + "/resize", "", "height"},
		{"POST", "/containers/" + name + "/resize?h=1&w=-1", "", "width"},
		{"POST", "/containers/" + name + "/update", `{"Memory":"x"}`, "Memory"},
		{"POST", "/containers/" + name + "/exec", `{}`, "exec command"},
		{"POST", "/containers/" + name + "/exec", `{"Cmd":"x"}`, "Cmd"},
		{"POST", "/containers/" + name + "/exec", `{"Cmd":["x"],"DetachKeys":"foo"}`, "escape keys (foo)"},
		{"PUT", "/containers/" + name + "/archive?path=/", "x", "malformed archive"},
		{"GET", "/containers/" + name + "/archive", "", "path"},
		{"GET", "/containers/" + name + "/logs", "", "at least one stream"},
		{"GET", "/containers/" + name + "/logs?stdout=1&since=x", "", "parameter since"},
		{"GET", "/containers/" + name + "/logs?stdout=1&until=x", "", "parameter until"},
		{"GET", "/containers/json?limit=x", "", "limit"},
		{"GET", "/containers/json?filters=x", "", "filter"},
		{"GET", "/containers/json?filters=%7B%22status%22%3A%5B%22x%22%5D%7D", "", "status=x"},
		{"GET", "/containers/json?%zz=1", "", "%zz"},
		{"GET", "/images/json?filters=x", "", "filter"},
		{"POST", "/images/create?fromImage=UP", "", "UP"},
		{"POST", "/images/busybox/tag?repo=UP", "", "UP"},
		{"POST", "/images/load", "x", "archive"},
		{"GET", "/distribution/UP/json", "", "UP"},
		{"POST", "/volumes/create", `{"Name":1}`, "Name"},
		{"POST", "/volumes/create", `{"Name":"malformed","DriverOpts":{"nope":"1"}}`, "nope"},
		{"GET", "/volumes?filters=x", "", "filter"},
		{"GET", "/networks/none?verbose=x", "", "verbose"},
		{"POST", "/networks/create", "{", "unexpected EOF"},
		{"GET", "/events?since=x", "", "parameter since"},
		{"GET", "/events?filters=x", "", "filter"},
		{"POST", "/auth", "{", "unexpected EOF"},
	} {
		status, answer := call(t, tc.method, tc.path, tc.body)
		var e struct{ Message string }
		if err := json.Unmarshal(answer, &e); err != nil || status != http.StatusBadRequest || !strings.Contains(e.Message, tc.names) {
			t.Errorf("%s %s %s: %d %s, want 400 and %q", tc.method, tc.path, tc.body, status, answer, tc.names)
		}
	}
}
