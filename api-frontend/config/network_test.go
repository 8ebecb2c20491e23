package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestNetworks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "daemon.json")
	text := `{"bip":"10.1.0.1/16","fixed-cidr":"10.1.2.0/24","icc":false,"ip":"127.0.0.1","mtu":1400,
		"default-network-opts":{"bridge":{"com.docker.network.driver.mtu":"1300"}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := Bind(set, file)
	if err := set.Parse([]string{"--ipv6", "--bip6", "fd00::1/64", "--default-address-pool", "base=10.2.0.0/16,size=24", "--default-address-pool", "size=64,base=fd01::/48"}); err != nil {
		t.Fatal(err)
	}
	c, err := flags.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Bridge{Address: "10.1.0.1/16", Address6: "fd00::1/64", Range: "10.1.2.0/24", IPv6: true, Binding: "127.0.0.1", MTU: 1400}
	if diff := cmp.Diff(want, c.Bridge); diff != "" {
		t.Error(diff)
	}
	if got := c.AddressPools.String(); got != "[{10.2.0.0/16 24} {fd01::/48 64}]" {
		t.Error(got)
	}
	if got := c.NetworkOptions["bridge"]["com.docker.network.driver.mtu"]; got != "1300" {
		t.Error(got)
	}
}
