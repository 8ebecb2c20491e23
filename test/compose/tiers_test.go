//go:build integration

package compose

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const tiers = `
services:
  proxy:
    image: counter
    ports: ["8080"]
    networks: [front]
  app:
    image: counter
    ports: ["8080"]
    environment: {REDIS: "database:6379"}
    networks:
      front:
        aliases: [backend]
      back:
        ipv4_address: 172.29.%SUBNET%.40
  db:
    image: redis
    networks:
      back:
        aliases: [database]
        ipv4_address: 172.29.%SUBNET%.41
networks:
  front:
  back:
    internal: true
    ipam:
      config:
        - subnet: 172.29.%SUBNET%.0/24
          gateway: 172.29.%SUBNET%.1
`

// subnet gives each client a subnet of its own, as the projects run side by side.
func subnet(c client, yaml string) string {
	number := map[string]string{"compose-v2": "20", "compose-v5": "50"}[c.name]
	return strings.ReplaceAll(yaml, "%SUBNET%", number)
}

// TestTiers: front and back are networks of their own: who is in one alone does not reach the other, by no name and by
// no address; who is in both does, under each network's names.
func TestTiers(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, subnet(c, tiers))
		p.up()
		proxy, app := p.url("proxy", "8080"), p.url("app", "8080")
		own := func(last string) string { return subnet(c, "172.29.%SUBNET%.") + last }
		if got := get(t, app+"/"); !strings.HasPrefix(got, "visit 1 on ") {
			t.Errorf("the application answers %q", got)
		}
		for name, want := range map[string]string{"database": own("41"), "db": own("41")} {
			if got := ask(t, app, "/resolve", "name", name); got != want {
				t.Errorf("in the application %s is %q, want %q", name, got, want)
			}
		}
		for _, address := range []string{"backend:8080", "app:8080"} {
			if got := ask(t, proxy, "/reach", "address", address); got != "yes" {
				t.Errorf("the proxy on %s: %s", address, got)
			}
		}
		if got := ask(t, proxy, "/resolve", "name", "app"); strings.Contains(got, own("")) {
			t.Errorf("the proxy sees app's address %q of a network that it is not in", got)
		}
		for _, name := range []string{"db", "database"} {
			if body, err := fetch(t.Context(), http.DefaultClient, http.MethodGet, proxy+"/resolve?"+url.Values{"name": {name}}.Encode(), nil); err == nil {
				t.Errorf("in the proxy %s is %q", name, body)
			}
		}
		for _, address := range []string{own("41") + ":6379", own("40") + ":8080"} {
			if got := ask(t, proxy, "/reach", "address", address); got == "yes" {
				t.Errorf("the proxy reaches %s", address)
			}
		}
		if got := ask(t, app, "/reach", "address", own("41")+":6379"); got != "yes" {
			t.Errorf("the application on its database: %s", got)
		}
	})
}

const modes = `
services:
  main:
    image: counter
    ports: ["8080"]
    hostname: principal
    environment: {REDIS: "127.0.0.1:6379"}
    mac_address: 02:42:ac:1d:%SUBNET%:77
    extra_hosts: ["elsewhere:192.0.2.7"]
    networks:
      default:
        ipv6_address: fd00:29:%SUBNET%::77
  side:
    image: redis
    network_mode: service:main
  other:
    image: counter
    links: ["main:friend"]
    networks: [default]
    ports: ["8080"]
  lonely:
    image: busybox
    init: true
    command: [sleep, inf]
    network_mode: none
networks:
  default:
    enable_ipv6: true
    ipam:
      config:
        - subnet: fd00:29:%SUBNET%::/64
`

// TestNetworkModes: a service in another one's network namespace, one without any, links, fixed addresses of both
// families and of hardware, IPv6 between services.
func TestNetworkModes(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, subnet(c, modes))
		p.up()
		main, other := p.url("main", "8080"), p.url("other", "8080")
		if got := get(t, main+"/"); got != "visit 1 on principal" {
			t.Errorf("main answers %q", got)
		}
		if got := ask(t, main, "/resolve", "name", "elsewhere"); got != "192.0.2.7" {
			t.Errorf("elsewhere is %q", got)
		}
		for _, name := range []string{"main", "friend"} {
			if got := ask(t, other, "/reach", "address", name+":6379"); got != "yes" {
				t.Errorf("%s: %s", name, got)
			}
		}
		v6 := subnet(c, "fd00:29:%SUBNET%::77")
		if got := ask(t, other, "/resolve", "name", "main"); !strings.Contains(got, v6) {
			t.Errorf("main is %q, want %s too", got, v6)
		}
		if got := ask(t, other, "/reach", "address", "["+v6+"]:8080"); got != "yes" {
			t.Errorf("over IPv6: %s", got)
		}
		if got := p.exec("main", "cat", "/sys/class/net/eth0/address"); got != subnet(c, "02:42:ac:1d:%SUBNET%:77") {
			t.Errorf("main's hardware address is %s", got)
		}
		// A service that starts again while another one is in its network namespace has its network again.
		p.compose("restart", "--no-deps", "main").OK()
		if got := ask(t, other, "/fetch", "url", "http://main:8080/client"); !strings.Contains(got, ":") {
			t.Errorf("main answers %q after a restart", got)
		}
		if got := p.exec("lonely", "ls", "/sys/class/net"); got != "lo" {
			t.Errorf("the lonely one has %s", got)
		}
	})
}
