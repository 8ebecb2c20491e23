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
			return invalidf("interface specific sysctl setting %q must be supplied using driver option 'com.docker.network.endpoint.sysctls'", k)
		}
	}
	return nil
}

// network holds the policy until the engine has networks: the default network is a loopback interface.
func (p *Prepared) network() error {
	hc := p.host
	mode := hc.NetworkMode
	if string(mode) == "container" {
		return errNetworkFormat
	}
	if len(hc.Links) > 0 {
		return errLinks
	}
	for _, name := range sortedKeys(p.endpoints) {
		if err := p.checkEndpoint(name, p.endpoints[name]); err != nil {
			return err
		}
	}
	if mode.IsUserDefined() {
		return userDefined(string(mode))
	}
	publishes := len(hc.PortBindings) > 0 || hc.PublishAllPorts
	switch {
	case mode.IsBridge() && p.config.NetworkDisabled, mode.IsNone():
		if publishes {
			p.warn(warnPublishNone)
		}
	case mode.IsBridge():
		if publishes {
			return errPublish
		}
		p.warn(warnLoopbackOnly)
	case mode.IsContainer():
		if _, err := p.join(mode.ConnectedContainer()); err != nil {
			return err
		}
		p.endpoints = nil
		return nil
	}
	p.endpoint(mode.NetworkName())
	return nil
}

func userDefined(name string) error {
	return invalidf("network %s cannot be used: user-defined networks are not supported by this version of the engine", name)
}

func (p *Prepared) checkEndpoint(name string, ep *network.EndpointSettings) error {
	mode := p.host.NetworkMode
	switch {
	case name == mode.NetworkName() && !mode.IsContainer():
	case mode.IsNone():
		return errNoNetwork
	case mode.IsHost() || mode.IsContainer():
		return errSharedNetwork
	case container.NetworkMode(name).IsUserDefined():
		return userDefined(name)
	default:
		return invalidf("invalid config for network %s: the container is not attached to this network", name)
	}
	var errs []string
	if c := ep.IPAMConfig; c != nil {
		if c.IPv4Address.IsValid() || c.IPv6Address.IsValid() {
			errs = append(errs, string(errNetworkAndIP))
		}
		if len(c.LinkLocalIPs) > 0 {
			errs = append(errs, string(errLinkLocal))
		}
	}
	if len(ep.Aliases) > 0 {
		errs = append(errs, string(errNetworkAndAlias))
	}
	if len(ep.Links) > 0 {
		errs = append(errs, string(errLinks))
	}
	if len(ep.MacAddress) > 0 {
		errs = append(errs, string(errMac))
	}
	if len(ep.DriverOpts) > 0 {
		errs = append(errs, string(errDriverOpts))
	}
	if len(errs) > 0 {
		return invalidf("invalid config for network %s: invalid endpoint settings:\n%s", name, strings.Join(errs, "\n"))
	}
	// What the engine alone may say is dropped.
	p.endpoints[name] = &network.EndpointSettings{GwPriority: ep.GwPriority}
	return nil
}

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
