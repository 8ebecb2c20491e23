package layer3

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const sysctls = "/proc/sys/net"

type sysctl struct {
	path, value string
}

// global settings of the network namespace.
var global = []sysctl{
	{"ipv4/ip_forward", "1"},
	{"ipv4/conf/default/rp_filter", "1"},
	{"ipv4/conf/default/accept_redirects", "0"},
	{"ipv6/conf/all/forwarding", "1"},
	{"ipv6/conf/default/accept_ra", "0"},
	{"ipv6/conf/default/disable_ipv6", "1"}, // The ovs link is OVS's alone: the kernel shall not speak there.
	{"ipv4/icmp_echo_ignore_broadcasts", "1"},
}

func writeGlobalSysctls() error { return writeAll(global) }

// writeSysctls are settings of one of our interfaces. It answers ARP for its own addresses alone (arp_ignore), drops what
// should have come another way (rp_filter), and believes nobody about routes.
func writeSysctls(name string, v6 bool) error {
	v4 := filepath.Join("ipv4/conf", name)
	list := []sysctl{
		{filepath.Join(v4, "forwarding"), "1"},
		{filepath.Join(v4, "rp_filter"), "1"},
		{filepath.Join(v4, "promote_secondaries"), "1"}, // An address that goes takes no other one along.
		{filepath.Join(v4, "arp_ignore"), "1"},
		{filepath.Join(v4, "arp_announce"), "2"},
		{filepath.Join(v4, "accept_redirects"), "0"},
		{filepath.Join(v4, "send_redirects"), "0"},
		{filepath.Join(v4, "accept_source_route"), "0"},
	}
	conf := filepath.Join("ipv6/conf", name)
	if v6 {
		list = append(list, sysctl{filepath.Join(conf, "accept_ra"), "0"}, sysctl{filepath.Join(conf, "accept_redirects"), "0"},
			sysctl{filepath.Join(conf, "accept_dad"), "0"}, sysctl{filepath.Join(conf, "forwarding"), "1"}, sysctl{filepath.Join(conf, "disable_ipv6"), "0"})
	} else {
		list = append(list, sysctl{filepath.Join(conf, "disable_ipv6"), "1"})
	}
	return writeAll(list)
}

// writeAll writes what differs. A kernel without IPv6 has none of its settings.
func writeAll(list []sysctl) error {
	for _, s := range list {
		path := filepath.Join(sysctls, s.path)
		have, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && s.path[:4] == "ipv6" {
			continue
		}
		if err == nil && string(bytes.TrimSpace(have)) == s.value {
			continue
		}
		if err == nil {
			err = os.WriteFile(path, []byte(s.value), 0)
		}
		if err != nil {
			return fmt.Errorf("set %s to %s: %w", s.path, s.value, err)
		}
	}
	return nil
}
