package network

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/network/policy"
)

// Dockerd's options of networks and endpoints.
const (
	optionBridgeName    = "com.docker.network.bridge.name"
	optionDefaultBridge = "com.docker.network.bridge.default_bridge"
	optionMasquerade    = "com.docker.network.bridge.enable_ip_masquerade"
	optionICC           = "com.docker.network.bridge.enable_icc"
	optionBinding       = "com.docker.network.bridge.host_binding_ipv4"
	optionGateway4      = "com.docker.network.bridge.gateway_mode_ipv4"
	optionGateway6      = "com.docker.network.bridge.gateway_mode_ipv6"
	optionInhibit       = "com.docker.network.bridge.inhibit_ipv4"
	optionTrusted       = "com.docker.network.bridge.trusted_host_interfaces"
	optionMTU           = "com.docker.network.driver.mtu"
	optionEnable4       = "com.docker.network.enable_ipv4"
	optionEnable6       = "com.docker.network.enable_ipv6"
	optionPrefix        = "com.docker.network.container_iface_prefix"
	optionHost4         = "com.docker.network.host_ipv4"
	optionHost6         = "com.docker.network.host_ipv6"

	optionSysctls   = "com.docker.network.endpoint.sysctls"
	optionInterface = "com.docker.network.endpoint.ifname"

	// optionAnySource lets containers of a network use unassigned addresses of its subnets as their own.
	optionAnySource = "com.arca.any_source"
	ourOptions      = "com.arca."
)

const (
	minMTU, minMTU6, maxMTU = 68, 1280, 65535
)

// ifname is a beginning of an interface's name that leaves room for a number.
var ifname = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,11}$`)

// applyOptions derives from a network's options what the network shall be. Options that dockerd's driver does not know are
// kept and mean nothing, as there; ours are known or refused.
func applyOptions(n *desired.Network) (err error) {
	n.Masquerade = true
	for option, value := range n.Options {
		if err := applyOption(n, option, value); err != nil {
			return err
		}
	}
	if n.MTU != 0 && n.EnableIPv6 && n.MTU < minMTU6 {
		return badOption(optionMTU, value(n, optionMTU), fmt.Sprintf("IPv6 needs %d", minMTU6))
	}
	return nil
}

func value(n *desired.Network, option string) string { return n.Options[option] }

func applyOption(n *desired.Network, option, value string) (err error) {
	switch option {
	case optionMasquerade:
		n.Masquerade, err = strconv.ParseBool(value)
	case optionICC:
		var icc bool
		icc, err = strconv.ParseBool(value)
		n.Isolated = !icc
	case optionDefaultBridge:
		_, err = strconv.ParseBool(value)
	case optionAnySource:
		n.AnySource, err = strconv.ParseBool(value)
	case optionBinding:
		err = applyBinding(n, value)
	case optionMTU:
		err = applyMTU(n, value)
	case optionGateway4, optionGateway6:
		err = checkGatewayMode(n, value)
	case optionInhibit:
		var on bool
		if on, err = strconv.ParseBool(value); err == nil && on {
			err = errNotHere("the gateway of a network always has its address")
		}
	case optionTrusted:
		if value != "" {
			err = errNotHere("the host has no interfaces in networks")
		}
	case optionHost4, optionHost6:
		err = errNotHere("connections leave with the addresses that the host chooses")
	case optionPrefix:
		if n.Prefix = value; !ifname.MatchString(value) {
			err = errNotHere("it is no beginning of an interface's name")
		}
	default:
		if strings.HasPrefix(option, ourOptions) && !strings.HasPrefix(option, policy.Prefix) {
			return refusal{"unknown option " + option, errdefs.ErrInvalidArgument}
		}
	}
	if err != nil {
		return badOption(option, value, err.Error())
	}
	return nil
}

// errNotHere is a reason why a value cannot be had.
type errNotHere string

func (e errNotHere) Error() string { return string(e) }

// badOption is dockerd's sentence.
func badOption(option, value, why string) error {
	return refusal{fmt.Sprintf("failed to parse %s value: %s (%s)", option, value, why), errdefs.ErrInvalidArgument}
}

func applyBinding(n *desired.Network, value string) error {
	a, err := netip.ParseAddr(value)
	if err != nil || a.Zone() != "" {
		return errNotHere("nil ip")
	}
	if a = a.Unmap(); a != netip.IPv4Unspecified() {
		n.Binding = []netip.Addr{a}
	}
	return nil
}

func applyMTU(n *desired.Network, value string) error {
	mtu, err := strconv.Atoi(value)
	switch {
	case err != nil:
		return err
	case mtu < 0:
		return errNotHere(fmt.Sprintf("invalid MTU number: %d", mtu))
	case mtu > 0 && (mtu < minMTU || mtu > maxMTU):
		return errNotHere(fmt.Sprintf("an MTU is %d to %d", minMTU, maxMTU))
	}
	n.MTU = uint32(mtu)
	return nil
}

func checkGatewayMode(n *desired.Network, value string) error {
	switch value {
	case "nat", "nat-unprotected": // The host reaches no container's address either way: both publish.
		return nil
	case "isolated":
		if !n.Internal {
			return errNotHere("gateway mode 'isolated' can only be used for an internal network")
		}
		return nil
	case "routed":
		return errNotHere("the host has no route to containers: publish ports")
	}
	return errNotHere("unknown gateway mode " + value)
}

// gatewayless tells whether a network shall have no gateway's address in a family.
func gatewayless(n *desired.Network, v6 bool) bool {
	if v6 {
		return n.Options[optionGateway6] == "isolated"
	}
	return n.Options[optionGateway4] == "isolated"
}
