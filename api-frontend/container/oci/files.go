package oci

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// FilesInput is what the injected files say beside the record.
type FilesInput struct {
	Membership *desired.Membership // of the container whose network it is; nil: a loopback interface, or the host's.
	Links      []HostLine          // of the default network's links.
	ResolvConf []byte              // the host's /etc/resolv.conf.
	Hosts      []byte              // the host's /etc/hosts, for a container in the host's network.
}

// HostLine is a line of /etc/hosts.
type HostLine struct {
	Address netip.Addr
	Names   []string
}

// Files makes /etc/hosts, /etc/hostname and /etc/resolv.conf of a container.
func Files(c *record.Container, w *World, in *FilesInput) []*guestv1.File {
	n := named(c, w)
	return []*guestv1.File{
		{Path: "/etc/hostname", Content: []byte(n.Config.Hostname + "\n"), Mode: 0o644},
		{Path: hostsPath, Content: hosts(n, in), Mode: 0o644},
		{Path: resolvPath, Content: resolvConf(n, w, in), Mode: 0o644},
	}
}

// The injected files that change with the networks.
const (
	hostsPath  = "/etc/hosts"
	resolvPath = "/etc/resolv.conf"
)

// NetworkFiles are those of Files that change with the networks of a running container.
func NetworkFiles(c *record.Container, w *World, in *FilesInput) []*guestv1.File {
	return Files(c, w, in)[1:]
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
			if in.Membership == nil || !in.Membership.HostAddress.IsValid() {
				continue
			}
			ip = in.Membership.HostAddress.String()
		}
		fmt.Fprintf(&b, "%s\t%s\n", strings.Trim(ip, " []"), name)
	}
	for _, l := range in.Links {
		fmt.Fprintf(&b, "%s\t%s\n", l.Address, strings.Join(l.Names, " "))
	}
	names := c.Config.Hostname
	if c.Config.Domainname != "" {
		names = c.Config.Hostname + "." + c.Config.Domainname + " " + c.Config.Hostname
	}
	if in.Membership != nil {
		for _, ep := range in.Membership.Endpoints {
			for _, p := range []netip.Prefix{ep.IPv4, ep.IPv6} {
				if p.IsValid() {
					fmt.Fprintf(&b, "%s\t%s\n", p.Addr(), names)
				}
			}
		}
	}
	return b.Bytes()
}
