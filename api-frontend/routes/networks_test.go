package routes

import (
	"context"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

// fakeNetworks remembers what it was asked.
type fakeNetworks struct {
	created      *network.CreateRequest
	connected    string
	settings     *network.EndpointSettings
	disconnected string
	removed      string
}

func (f *fakeNetworks) List(q filter.Filter) ([]network.Inspect, error) {
	return []network.Inspect{}, q.Validate("name")
}

func (f *fakeNetworks) Inspect(ref string) (network.Inspect, error) {
	if ref != "front" {
		return network.Inspect{}, errdefs.ErrNotFound.WithMessage("network " + ref + " not found")
	}
	return network.Inspect{Network: network.Network{Name: ref, Scope: "local"}}, nil
}

func (f *fakeNetworks) Create(_ context.Context, req *network.CreateRequest) (string, error) {
	f.created = req
	return strings.Repeat("a", 64), nil
}

func (f *fakeNetworks) Remove(_ context.Context, ref string) error {
	f.removed = ref
	return nil
}

func (f *fakeNetworks) Connect(_ context.Context, ref, container string, s *network.EndpointSettings) error {
	f.connected, f.settings = ref+" "+container, s
	return nil
}

func (f *fakeNetworks) Disconnect(_ context.Context, ref, container string, force bool) error {
	f.disconnected = ref + " " + container
	if force {
		f.disconnected += " by force"
	}
	return nil
}

func (f *fakeNetworks) Prune(context.Context, filter.Filter) (network.PruneReport, error) {
	return network.PruneReport{NetworksDeleted: []string{"front"}}, nil
}

func TestNetworkRoutes(t *testing.T) {
	f := &fakeNetworks{}
	s := servertest.New(t, NetworkRoutes(f))
	body := `{"Name":"front","CheckDuplicate":true,"Driver":"bridge","EnableIPv4":false,"EnableIPv6":true,"Internal":true,"Labels":{"a":"b"},"Options":{"c":"d"},
		"IPAM":{"Driver":"default","Config":[{"Subnet":"10.1.0.0/16","IPRange":"","Gateway":"10.1.0.1","AuxiliaryAddresses":{"router":"10.1.0.9"}}]}}`
	status, answer := ask(t, s, "POST", "/v1.51/networks/create", body)
	if status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	speccheck.Answer(t, "POST", "/networks/create", status, answer)
	c := f.created.IPAM.Config[0]
	if f.created.Name != "front" || !f.created.Internal || *f.created.EnableIPv4 || !*f.created.EnableIPv6 || f.created.Labels["a"] != "b" || f.created.Options["c"] != "d" ||
		c.Subnet.String() != "10.1.0.0/16" || c.IPRange.IsValid() || c.Gateway.String() != "10.1.0.1" || c.AuxAddress["router"].String() != "10.1.0.9" {
		t.Errorf("%+v, %+v", f.created, c)
	}
	if status, _ = ask(t, s, "POST", "/v1.47/networks/create", body); status != 201 || f.created.EnableIPv4 != nil {
		t.Errorf("IPv4 could not be chosen before 1.48: %d %v", status, f.created.EnableIPv4)
	}
	status, answer = ask(t, s, "POST", "/v1.51/networks/front/connect", `{"Container":"web","EndpointConfig":{"IPAMConfig":{"IPv4Address":"10.1.0.7","LinkLocalIPs":["169.254.1.1"]},
		"Aliases":["w"],"MacAddress":"02:00:00:00:00:01","GwPriority":3}}`)
	if status != 200 || len(answer) != 0 || f.connected != "front web" || f.settings.GwPriority != 3 || f.settings.IPAMConfig.IPv4Address.String() != "10.1.0.7" ||
		f.settings.MacAddress.String() != "02:00:00:00:00:01" || len(f.settings.IPAMConfig.LinkLocalIPs) != 1 {
		t.Errorf("%d %s %s %+v", status, answer, f.connected, f.settings)
	}
	if status, answer = ask(t, s, "POST", "/v1.51/networks/front/disconnect", `{"Container":"web","Force":true}`); status != 200 || len(answer) != 0 || f.disconnected != "front web by force" {
		t.Errorf("%d %s %s", status, answer, f.disconnected)
	}
	if status, answer = ask(t, s, "DELETE", "/v1.51/networks/front", ""); status != 204 || len(answer) != 0 || f.removed != "front" {
		t.Errorf("%d %s %s", status, answer, f.removed)
	}
	status, answer = ask(t, s, "POST", "/v1.51/networks/prune", "")
	if diff := cmp.Diff(`{"NetworksDeleted":["front"]}`, strings.TrimSpace(string(answer))); status != 200 || diff != "" {
		t.Errorf("%d %s", status, diff)
	}
	if status, answer = ask(t, s, "GET", "/v1.51/networks/front?verbose=true&scope=local", ""); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer = ask(t, s, "GET", "/v1.51/networks", ""); status != 200 || strings.TrimSpace(string(answer)) != "[]" {
		t.Errorf("%d %s", status, answer)
	}
}

func TestNetworkRefusals(t *testing.T) {
	s := servertest.New(t, NetworkRoutes(&fakeNetworks{}))
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1.51/networks/none", "", 404, "network none not found"},
		{"GET", "/v1.51/networks/front?scope=swarm", "", 404, "network front not found"},
		{"GET", "/v1.51/networks/front?verbose=perhaps", "", 400, `invalid value for verbose: perhaps: strconv.ParseBool: parsing "perhaps": invalid syntax`},
		{"GET", "/v1.51/networks?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", "", 400, "invalid filter 'x'"},
		{"POST", "/v1.51/networks/create", `{"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0"},{"Subnet":"10.1.0.0/16","IPRange":"y","Gateway":"z","AuxiliaryAddresses":{"a":"b"}}]}}`, 400,
			"invalid network config:\ninvalid subnet 10.0.0.0: invalid CIDR block notation\ninvalid ip-range y: invalid CIDR block notation\n" +
				"invalid gateway z: invalid address\ninvalid auxiliary address a: invalid address"},
	} {
		status, body := ask(t, s, c.method, c.path, c.body)
		wantMessage(t, c.method+" "+c.path+" "+c.body, status, body, c.status, c.want)
	}
}
