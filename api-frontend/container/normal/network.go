package normal

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// defaultNetwork calls the default network by its name.
func (p *Prepared) defaultNetwork() error {
	hc := p.host
	if hc.NetworkMode != "" && !hc.NetworkMode.IsDefault() {
		return nil
	}
	hc.NetworkMode = network.NetworkBridge
	if ep, ok := p.endpoints[network.NetworkDefault]; ok {
		p.endpoints[network.NetworkBridge] = ep
		delete(p.endpoints, network.NetworkDefault)
	}
	return nil
}

// macAddress brings the container-wide MAC address to the endpoint of the main network.
func (p *Prepared) macAddress() error {
	mode := p.host.NetworkMode
	if before(p.version, "1.44") && p.mac == "" {
		for _, ep := range p.endpoints {
			ep.MacAddress = nil
		}
	}
	if p.mac == "" {
		return nil
	}
	mac, err := net.ParseMAC(p.mac)
	if err != nil {
		return invalidf("invalid MAC address %s", p.mac)
	}
	attached := mode.IsBridge() || mode.IsUserDefined()
	if before(p.version, "1.44") && !attached {
		return errNetworkAndMac
	}
	if !before(p.version, "1.44") {
		p.warn("The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.")
	}
	if attached {
		ep := p.endpoint(mode.NetworkName())
		if len(ep.MacAddress) > 0 && ep.MacAddress.String() != mac.String() {
			return errMacMismatch
		}
		ep.MacAddress = network.HardwareAddr(mac)
	}
	p.mac = ""
	return nil
}

// endpoint finds or makes the settings of a network.
func (p *Prepared) endpoint(name string) *network.EndpointSettings {
	if p.endpoints == nil {
		p.endpoints = map[string]*network.EndpointSettings{}
	}
	if p.endpoints[name] == nil {
		p.endpoints[name] = &network.EndpointSettings{}
	}
	return p.endpoints[name]
}

// endpointSysctls refuses container-wide sysctls that name an interface.
func (p *Prepared) endpointSysctls() error {
	if !p.host.NetworkMode.IsPrivate() {
		return nil
	}
	for _, k := range sortedKeys(p.host.Sysctls) {
		if s := strings.SplitN(k, ".", 5); len(s) == 5 && s[0] == "net" && strings.HasPrefix(s[3], "eth") {
			return invalidf("interface specific sysctl setting %q must be supplied using driver option '"+endpointSysctlsOption+"'", k)
		}
	}
	return nil
}

// network brings the endpoints into their normal form. Whether the networks exist, and have room, is not asked here.
func (p *Prepared) network() error {
	hc := p.host
	mode := hc.NetworkMode
	if string(mode) == "container" {
		return errNetworkFormat
	}
	for _, name := range sortedKeys(p.endpoints) {
		if err := p.checkEndpoint(name, p.endpoints[name]); err != nil {
			return err
		}
	}
	if err := checkLinks(hc.Links); err != nil {
		return err
	}
	publishes := len(hc.PortBindings) > 0 || hc.PublishAllPorts
	switch {
	case mode.IsContainer():
		if _, err := p.join(mode.ConnectedContainer()); err != nil {
			return err
		}
		p.endpoints = nil
		return nil
	case p.config.NetworkDisabled:
		p.endpoints = nil // what is left is a loopback interface.
		if publishes {
			p.warn(warnPublishNone)
		}
	case mode.IsNone() && publishes:
		p.warn(warnPublishNone)
	case mode.IsHost() && publishes:
		p.warn(warnPublishHost)
	}
	if len(p.endpoints) == 0 {
		p.endpoint(mode.NetworkName())
	}
	return nil
}

// checkLinks refuses links of the default network that name nothing.
func checkLinks(links []string) error {
	for _, l := range links {
		name, alias, has := strings.Cut(l, ":")
		if l == "" || strings.Count(l, ":") > 1 || name == "" || has && alias == "" {
			return invalidf("bad format for links: %s", l)
		}
	}
	return nil
}

func (p *Prepared) checkEndpoint(name string, ep *network.EndpointSettings) error {
	mode := p.host.NetworkMode
	switch {
	case name == mode.NetworkName() && !mode.IsContainer():
	case mode.IsNone() || container.NetworkMode(name).IsNone():
		return errNoNetwork
	case mode.IsHost() || mode.IsContainer():
		return errSharedNetwork
	case container.NetworkMode(name).IsHost():
		return errSharedNetwork
	}
	var errs []string
	if !container.NetworkMode(name).IsUserDefined() {
		if c := ep.IPAMConfig; c != nil && (c.IPv4Address.IsValid() || c.IPv6Address.IsValid()) {
			errs = append(errs, string(errNetworkAndIP))
		}
		if len(ep.Aliases) > 0 {
			errs = append(errs, string(errNetworkAndAlias))
		}
	}
	for _, sysctl := range strings.Split(ep.DriverOpts[endpointSysctlsOption], ",") {
		if sysctl == "" {
			continue
		}
		if s := strings.SplitN(sysctl, ".", 5); len(s) != 5 || s[0] != "net" || !strings.Contains("ipv4 ipv6 mpls", s[1]) ||
			!strings.EqualFold(s[3], "IFNAME") || !strings.Contains(s[4], "=") {
			errs = append(errs, "unrecognised network interface sysctl '"+sysctl+
				"'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'")
		}
	}
	if len(errs) > 0 {
		return invalidf("invalid config for network %s: invalid endpoint settings:\n%s", name, strings.Join(errs, "\n"))
	}
	// What the engine alone may say is dropped.
	p.endpoints[name] = &network.EndpointSettings{
		IPAMConfig: ep.IPAMConfig, Links: ep.Links, Aliases: ep.Aliases, DriverOpts: ep.DriverOpts, MacAddress: ep.MacAddress,
		GwPriority: ep.GwPriority,
	}
	return nil
}

// endpointSysctlsOption is the driver option that names sysctls of an endpoint's interface.
const endpointSysctlsOption = "com.docker.network.endpoint.sysctls"

func checkPorts(ports network.PortMap) error {
	for port, bindings := range ports {
		if !port.IsValid() {
			return invalidf("invalid port specification: %q", "")
		}
		for _, b := range bindings {
			lo, hi, isRange := strings.Cut(b.HostPort, "-")
			if b.HostPort != "" && (!isPort(lo) || isRange && !isPort(hi)) {
				return invalidf("invalid port specification: %q", b.HostPort)
			}
		}
	}
	return nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// hostGateway stands for the address of the host in ExtraHosts.
const hostGateway = "host-gateway"

func checkExtraHost(s string) error {
	name, ip, ok := strings.Cut(s, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t\r\n\x00") {
		return invalidf("bad format for add-host: %q", s)
	}
	if ip != hostGateway {
		if a, err := netip.ParseAddr(strings.TrimSpace(ip)); err != nil || a.Zone() != "" {
			return invalidf("invalid IP address in add-host: %q", ip)
		}
	}
	return nil
}
