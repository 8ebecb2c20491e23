package oci

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/arca-engine/arca/api-frontend/container/record"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// FilesInput is what the injected files say beside the record.
type FilesInput struct {
	Addresses   []netip.Addr // of the container; none: no line of its own in /etc/hosts.
	HostGateway netip.Addr   // what host-gateway stands for; invalid: such hosts are left out.
	ResolvConf  []byte       // the host's /etc/resolv.conf.
	Hosts       []byte       // the host's /etc/hosts, for a container in the host's network.
}

// Files makes /etc/hosts, /etc/hostname and /etc/resolv.conf of a container.
func Files(c *record.Container, w *World, in *FilesInput) []*guestv1.File {
	n := named(c, w)
	return []*guestv1.File{
		{Path: "/etc/hostname", Content: []byte(n.Config.Hostname + "\n"), Mode: 0o644},
		{Path: "/etc/hosts", Content: hosts(n, in), Mode: 0o644},
		{Path: "/etc/resolv.conf", Content: resolvConf(n, in.ResolvConf), Mode: 0o644},
	}
}

func hosts(c *record.Container, in *FilesInput) []byte {
	var b bytes.Buffer
	if c.HostConfig.NetworkMode.IsHost() && len(in.Hosts) > 0 {
		b.Write(in.Hosts)
		if !bytes.HasSuffix(in.Hosts, []byte("\n")) {
			b.WriteByte('\n')
		}
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" +
			"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	}
	for _, h := range c.HostConfig.ExtraHosts {
		name, ip, _ := strings.Cut(h, ":")
		if ip == "host-gateway" {
			if !in.HostGateway.IsValid() {
				continue
			}
			ip = in.HostGateway.String()
		}
		fmt.Fprintf(&b, "%s\t%s\n", strings.Trim(ip, " []"), name)
	}
	names := c.Config.Hostname
	if c.Config.Domainname != "" {
		names = c.Config.Hostname + "." + c.Config.Domainname + " " + c.Config.Hostname
	}
	for _, a := range in.Addresses {
		fmt.Fprintf(&b, "%s\t%s\n", a, names)
	}
	return b.Bytes()
}

// resolvConf is the host's with the client's wishes over it. The host's loopback servers answer nobody in a
// container and are left out, except in the host's network.
func resolvConf(c *record.Container, host []byte) []byte {
	hc := c.HostConfig
	var servers, search, options []string
	for sc := bufio.NewScanner(bytes.NewReader(host)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			a, err := netip.ParseAddr(f[1])
			if err == nil && (hc.NetworkMode.IsHost() || !a.IsLoopback()) {
				servers = append(servers, f[1])
			}
		case "search", "domain":
			search = f[1:]
		case "options":
			options = f[1:]
		}
	}
	if len(hc.DNS) > 0 {
		servers = nil
		for _, a := range hc.DNS {
			if a.IsValid() {
				servers = append(servers, a.String())
			}
		}
	}
	if len(hc.DNSSearch) > 0 {
		search = hc.DNSSearch
		if len(search) == 1 && search[0] == "." {
			search = nil
		}
	}
	if len(hc.DNSOptions) > 0 {
		options = hc.DNSOptions
	}
	var b bytes.Buffer
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.Bytes()
}
