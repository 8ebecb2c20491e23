package network

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// checkIPAM has dockerd's rules of subnets, ranges, gateways and auxiliary addresses.
func checkIPAM(i *network.IPAM, v6 bool) error {
	if i == nil {
		return nil
	}
	var errs []string
	for _, c := range i.Config {
		if !c.Subnet.IsValid() {
			errs = append(errs, "invalid subnet : invalid CIDR block notation")
			continue
		}
		if c.Subnet.Addr().Is6() && !v6 {
			continue
		}
		errs = append(errs, checkSubnet(c)...)
	}
	if len(errs) > 0 {
		return invalid("invalid network config:\n%s", strings.Join(errs, "\n"))
	}
	return nil
}

func checkSubnet(c network.IPAMConfig) (errs []string) {
	subnet := c.Subnet
	if subnet != subnet.Masked() {
		errs = append(errs, fmt.Sprintf("invalid subnet %s: it should be %s", subnet, subnet.Masked()))
	}
	if a := subnet.Addr(); a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() && a.Is6() || a.Is4In6() {
		errs = append(errs, fmt.Sprintf("invalid subnet %s: containers cannot have addresses of it", subnet))
	}
	if r := c.IPRange; r.IsValid() {
		errs = append(errs, checkRange(r, subnet)...)
	}
	if c.Gateway.IsValid() {
		if err := checkAddress(c.Gateway, subnet); err != nil {
			errs = append(errs, fmt.Sprintf("invalid gateway %s: %v", c.Gateway, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.AuxAddress)) {
		if err := checkAddress(c.AuxAddress[name], subnet); err != nil {
			errs = append(errs, fmt.Sprintf("invalid auxiliary address %s: %v", name, err))
		}
	}
	return errs
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}

func checkRange(r, subnet netip.Prefix) (errs []string) {
	if r.Addr().Is6() != subnet.Addr().Is6() {
		return []string{fmt.Sprintf("invalid ip-range %s: parent subnet is an %s block", r, family(subnet.Addr()))}
	}
	if r.Bits() < subnet.Bits() {
		errs = append(errs, fmt.Sprintf("invalid ip-range %s: CIDR block is bigger than its parent subnet %s", r, subnet))
	}
	if r != r.Masked() {
		errs = append(errs, fmt.Sprintf("invalid ip-range %s: it should be %s", r, r.Masked()))
	}
	if !subnet.Overlaps(r) {
		errs = append(errs, fmt.Sprintf("invalid ip-range %s: parent subnet %s doesn't contain ip-range", r, subnet))
	}
	return errs
}

func checkAddress(a netip.Addr, subnet netip.Prefix) error {
	if a.Is6() != subnet.Addr().Is6() {
		return fmt.Errorf("parent subnet is an %s block", family(subnet.Addr()))
	}
	if !subnet.Contains(a) {
		return fmt.Errorf("parent subnet %s doesn't contain this address", subnet)
	}
	return nil
}

// IPAMText is IPAM as a client writes it.
type IPAMText struct {
	Driver  string
	Options map[string]string
	Config  []struct {
		Subnet     string
		IPRange    string
		Gateway    string
		AuxAddress map[string]string `json:"AuxiliaryAddresses"`
	}
}

// ParseIPAM reads it, with dockerd's sentences for what is no address.
func ParseIPAM(text *IPAMText) (*network.IPAM, error) {
	if text == nil {
		return nil, nil
	}
	out := &network.IPAM{Driver: text.Driver, Options: text.Options}
	var errs []error
	for _, c := range text.Config {
		var parsed network.IPAMConfig
		var err error
		if parsed.Subnet, err = netip.ParsePrefix(c.Subnet); err != nil {
			errs = append(errs, fmt.Errorf("invalid subnet %s: invalid CIDR block notation", c.Subnet))
		}
		if c.IPRange != "" {
			if parsed.IPRange, err = netip.ParsePrefix(c.IPRange); err != nil {
				errs = append(errs, fmt.Errorf("invalid ip-range %s: invalid CIDR block notation", c.IPRange))
			}
		}
		if c.Gateway != "" {
			if parsed.Gateway, err = netip.ParseAddr(c.Gateway); err != nil {
				errs = append(errs, fmt.Errorf("invalid gateway %s: invalid address", c.Gateway))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.AuxAddress)) {
			a, err := netip.ParseAddr(c.AuxAddress[name])
			if err != nil {
				errs = append(errs, fmt.Errorf("invalid auxiliary address %s: invalid address", name))
				continue
			}
			if parsed.AuxAddress == nil {
				parsed.AuxAddress = map[string]netip.Addr{}
			}
			parsed.AuxAddress[name] = a
		}
		out.Config = append(out.Config, parsed)
	}
	if len(errs) > 0 {
		return nil, invalid("invalid network config:\n%v", errors.Join(errs...))
	}
	return out, nil
}

// checkEndpoint has dockerd's rules of a container's settings in a network; n is nil for one that does not exist yet.
func checkEndpoint(n *desired.Network, name string, settings *network.EndpointSettings) error {
	if settings == nil {
		return nil
	}
	var errs []string
	var asked network.EndpointIPAMConfig
	if settings.IPAMConfig != nil {
		asked = *settings.IPAMConfig
	}
	if !container.NetworkMode(name).IsUserDefined() {
		if asked.IPv4Address.IsValid() || asked.IPv6Address.IsValid() {
			errs = append(errs, "user specified IP address is supported on user defined networks only")
		}
		if len(settings.Aliases) > 0 {
			errs = append(errs, "network-scoped alias is supported only for containers in user defined networks")
		}
	}
	errs = append(errs, checkAsked(asked)...)
	if n != nil {
		for _, a := range []netip.Addr{asked.IPv4Address.Unmap(), asked.IPv6Address} {
			if problem := checkStatic(n, a); problem != "" {
				errs = append(errs, problem)
			}
		}
	}
	if mac := settings.MacAddress; len(mac) > 0 && (len(mac) != 6 || mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00") {
		return fmt.Errorf("invalid MAC address %s", mac)
	}
	errs = append(errs, checkDriverOpts(settings.DriverOpts)...)
	if len(errs) > 0 {
		return fmt.Errorf("invalid endpoint settings:\n%s", strings.Join(errs, "\n"))
	}
	return nil
}

func checkAsked(asked network.EndpointIPAMConfig) (errs []string) {
	if a := asked.IPv4Address; a.IsValid() && (!a.Unmap().Is4() || a.IsUnspecified()) {
		errs = append(errs, fmt.Sprintf("invalid IPv4 address: %s", a))
	}
	if a := asked.IPv6Address; a.IsValid() && (!a.Is6() || a.Is4In6() || a.IsUnspecified() || a.Zone() != "") {
		errs = append(errs, fmt.Sprintf("invalid IPv6 address: %s", a))
	}
	for _, a := range asked.LinkLocalIPs {
		if !a.IsValid() || a.IsUnspecified() || !a.Unmap().IsLinkLocalUnicast() || a.Zone() != "" {
			errs = append(errs, fmt.Sprintf("invalid link-local IP address: %s", a))
		}
	}
	return errs
}

// checkStatic tells what is wrong with an address that a container asks for.
func checkStatic(n *desired.Network, a netip.Addr) string {
	if !a.IsValid() || !n.Resolves() {
		return ""
	}
	pool := n.Pool(a.Is6())
	switch {
	case pool == nil || !pool.Static:
		return "user specified IP address is supported only when connecting to networks with user configured subnets"
	case !pool.Subnet.Contains(a):
		return fmt.Sprintf("no configured subnet or ip-range contain the IP address %s", a)
	}
	return ""
}

func checkDriverOpts(opts map[string]string) (errs []string) {
	if text, ok := opts[optionSysctls]; ok {
		for _, sysctl := range strings.Split(text, ",") {
			parts := strings.SplitN(sysctl, ".", 5)
			if len(parts) != 5 || !slices.Contains([]string{"ipv4", "ipv6", "mpls"}, parts[1]) || !strings.EqualFold(parts[3], "ifname") {
				errs = append(errs, fmt.Sprintf("unrecognised network interface sysctl '%s'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', "+
					"'X' must be 'ipv4', 'ipv6' or 'mpls'", sysctl))
			}
		}
	}
	if name, ok := opts[optionInterface]; ok && (!interfaceNames.MatchString(name) || name == "lo") {
		errs = append(errs, fmt.Sprintf("invalid interface name: %q", name))
	}
	return errs
}

var interfaceNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,14}$`)

// Check checks a container's networks before it is made, with dockerd's sentences, and calls those that exist by their
// names. A network that does not exist is no mistake yet: the start will miss it.
func (s *Service) Check(rec *record.Container) error {
	var errs []string
	for _, ref := range slices.Sorted(maps.Keys(rec.Networking)) {
		name := ref
		n, err := s.find(ref)
		if err == nil {
			name = n.Name
		}
		if err := checkEndpoint(n, name, rec.Networking[ref]); err != nil {
			errs = append(errs, fmt.Sprintf("invalid config for network %s: %v", ref, err))
		}
	}
	if len(errs) > 0 {
		return invalid("%s", strings.Join(errs, "\n"))
	}
	s.rename(rec)
	_, err := bindings(rec)
	return err
}

// rename brings the references to networks into dockerd's form: names, and for the mode a name or a whole ID.
func (s *Service) rename(rec *record.Container) {
	networking := map[string]*network.EndpointSettings{}
	for ref, settings := range rec.Networking {
		if n, err := s.find(ref); err == nil && rec.Networking[n.Name] == nil {
			ref = n.Name
		}
		networking[ref] = settings
	}
	if rec.Networking != nil {
		rec.Networking = networking
	}
	if mode := rec.HostConfig.NetworkMode; mode.IsUserDefined() {
		if n, err := s.find(mode.NetworkName()); err == nil && mode.NetworkName() != n.Name && mode.NetworkName() != n.ID {
			hc := *rec.HostConfig
			hc.NetworkMode = container.NetworkMode(n.ID)
			rec.HostConfig = &hc
		}
	}
}
