package config

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"
)

// Bridge is what is configured of the default network. Texts are checked.
type Bridge struct {
	Address, Address6 string // the gateway's address with the subnet.
	Range, Range6     string // of dynamic addresses.
	IPv6              bool
	ICC               bool
	Binding           string // the host's address for ports that name none.
	MTU               int
}

// AddressPools are blocks with the size of the subnets that they are split into.
type AddressPools []AddressPool

// AddressPool is one block.
type AddressPool struct {
	Base netip.Prefix `json:"base"`
	Size int          `json:"size"`
}

// UnmarshalJSON reads a block.
func (p *AddressPool) UnmarshalJSON(raw []byte) error {
	var text struct {
		Base string `json:"base"`
		Size int    `json:"size"`
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	pool, err := newPool(text.Base, text.Size)
	*p = pool
	return err
}

func newPool(base string, size int) (AddressPool, error) {
	prefix, err := netip.ParsePrefix(base)
	if err != nil {
		return AddressPool{}, fmt.Errorf("invalid base prefix %q: %w", base, err)
	}
	prefix = prefix.Masked()
	if size < prefix.Bits() || size > prefix.Addr().BitLen() {
		return AddressPool{}, fmt.Errorf("the size of the pool %s is %d, not one of %d to %d", prefix, size, prefix.Bits(), prefix.Addr().BitLen())
	}
	return AddressPool{prefix, size}, nil
}

// Set reads base=CIDR,size=N.
func (p *AddressPools) Set(text string) error {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return err
	}
	base, size := "", 0
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case !ok:
			return fmt.Errorf("invalid field '%s' must be a key=value pair", field)
		case strings.EqualFold(key, "base"):
			base = value
		case strings.EqualFold(key, "size"):
			if size, err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("invalid size value: %q (must be integer): %w", value, err)
			}
		default:
			return fmt.Errorf("unexpected key '%s' in '%s'", key, field)
		}
	}
	pool, err := newPool(base, size)
	if err != nil {
		return err
	}
	*p = append(*p, pool)
	return nil
}

// String lists the blocks.
func (p *AddressPools) String() string { return fmt.Sprint([]AddressPool(*p)) }

// Type names the value in help texts.
func (*AddressPools) Type() string { return "pool-options" }

// NetworkOptions are options by driver.
type NetworkOptions map[string]map[string]string

// Set reads driver=key=value.
func (o *NetworkOptions) Set(text string) error {
	driver, rest, ok := strings.Cut(text, "=")
	key, value, ok2 := strings.Cut(rest, "=")
	if !ok || !ok2 || driver == "" || key == "" {
		return fmt.Errorf("invalid key value pair format: %q is not driver=key=value", text)
	}
	if (*o)[driver] == nil {
		(*o)[driver] = map[string]string{}
	}
	(*o)[driver][key] = value
	return nil
}

// String lists the options.
func (o *NetworkOptions) String() string { return fmt.Sprint(map[string]map[string]string(*o)) }

// Type names the value in help texts.
func (*NetworkOptions) Type() string { return "driver=key=value" }

func (o NetworkOptions) clone() NetworkOptions {
	out := NetworkOptions{}
	for driver, options := range o {
		out[driver] = maps.Clone(options)
	}
	return out
}

// checkNetworks checks the addresses.
func checkNetworks(c *Config) error {
	b := c.Bridge
	for _, x := range []struct {
		key, value string
		v6         bool
	}{{"bip", b.Address, false}, {"bip6", b.Address6, true}, {"fixed-cidr", b.Range, false}, {"fixed-cidr-v6", b.Range6, true}} {
		if x.value == "" {
			continue
		}
		p, err := netip.ParsePrefix(x.value)
		if err != nil || p.Addr().Is6() != x.v6 || p.Addr().Is4In6() {
			return fmt.Errorf("parse %s failed: invalid CIDR address: %s", x.key, x.value)
		}
	}
	if err := inside("fixed-cidr", b.Range, "bip", b.Address); err != nil {
		return err
	}
	if err := inside("fixed-cidr-v6", b.Range6, "bip6", b.Address6); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(b.Binding); b.Binding != "" && err != nil {
		return fmt.Errorf("invalid ip: %q is not an address", b.Binding)
	}
	if b.MTU < 0 || b.MTU > 65535 {
		return fmt.Errorf("invalid default MTU: %d", b.MTU)
	}
	return nil
}

// inside refuses a range that is no part of the subnet.
func inside(key, within, subnetKey, address string) error {
	if within == "" || address == "" {
		return nil
	}
	r, subnet := netip.MustParsePrefix(within), netip.MustParsePrefix(address)
	if r.Bits() < subnet.Bits() || !subnet.Contains(r.Addr()) {
		return fmt.Errorf("%s=%s is outside of the subnet of %s=%s", key, within, subnetKey, address)
	}
	return nil
}
