//go:build !linux

package fabric

import (
	"fmt"
	"net"
	"net/netip"
)

// hostRoutes are the subnets that the host has an address in.
func hostRoutes() (all []netip.Prefix, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && keeps(p) {
			all = append(all, p.Masked())
		}
	}
	return all, nil
}
