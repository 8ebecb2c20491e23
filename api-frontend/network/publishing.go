package network

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// hostPort finds "IP:PORT" in a message of the fabric.
var hostPort = regexp.MustCompile(`(\[[0-9a-fA-F:.%]+\]|[0-9]+(?:\.[0-9]+){3}):([0-9]+)`)

// notPublished is dockerd's sentence for a port that cannot be opened.
func notPublished(ep *desired.Endpoint, p desired.Port, err error) error {
	return internal("driver failed programming external connectivity on endpoint %s (%s): %s", ep.Names[0], ep.ID, why(ep, p, err))
}

func why(ep *desired.Endpoint, p desired.Port, err error) string {
	host, port := p.HostIPs[0].String(), strconv.Itoa(int(p.First))
	if found := hostPort.FindStringSubmatch(err.Error()); found != nil {
		host, port = strings.Trim(found[1], "[]"), found[2]
	}
	switch {
	case errdefs.IsAlreadyExists(err):
		return fmt.Sprintf("Bind for %s:%s failed: port is already allocated", host, port)
	case errdefs.IsResourceExhausted(err):
		return "all ports are allocated"
	case errdefs.IsFailedPrecondition(err), errdefs.IsPermissionDenied(err):
		cause := lastClause(err.Error())
		if wide(p) {
			return fmt.Sprintf("failed to bind host port %s for %s: %s", port, mapping(ep, p, host, ports(p)), cause)
		}
		return fmt.Sprintf("failed to bind host port for %s: %s", mapping(ep, p, host, port), cause)
	}
	return err.Error()
}

func ports(p desired.Port) string {
	if p.First == 0 {
		return ""
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// mapping is a port as dockerd writes it: 0.0.0.0:80:172.17.0.2:80/tcp.
func mapping(ep *desired.Endpoint, p desired.Port, host, port string) string {
	a, err := netip.ParseAddr(host)
	address := ep.IPv4.Addr()
	if err == nil && a.Is6() && ep.IPv6.IsValid() || !address.IsValid() {
		address = ep.IPv6.Addr()
	}
	return net.JoinHostPort(host, port) + ":" + net.JoinHostPort(address.String(), strconv.Itoa(int(p.ContainerPort))) + "/" + p.Protocol
}

// lastClause is the system's own sentence at the end of a message: "address already in use".
func lastClause(text string) string {
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}
