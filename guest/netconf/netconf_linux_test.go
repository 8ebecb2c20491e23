package netconf

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// sandboxed runs f on a thread in a new network namespace, which Home takes for the sandbox's, with mounts of its own.
func sandboxed(t *testing.T, free bool, f func(h *Home)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // Never unlocked.
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			t.Error(err)
			return
		}
		h, err := NewHome(free)
		if err != nil {
			t.Error(err)
			return
		}
		f(h)
	}()
	<-done
}

func tap(t *testing.T, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
		t.Error(err)
	}
}

func linkNames(t *testing.T, s *Space) []string {
	t.Helper()
	var out []string
	err := enter(s.home.file, s.file, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			out = append(out, l.Attrs().Name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(out)
	return out
}

// TestTaggedInterface makes the interface of a trunk's tag where the container is. The kernel here may lack VLANs, so that
// another device that stands on a trunk takes their place.
func TestTaggedInterface(t *testing.T) {
	var tags []uint32
	defer func(f func(netlink.LinkAttrs, uint32) netlink.Link) { tagged = f }(tagged)
	true8021q := tagged
	tagged = func(attrs netlink.LinkAttrs, tag uint32) netlink.Link {
		v, ok := true8021q(attrs, tag).(*netlink.Vlan)
		if !ok || v.VlanId != int(tag) || v.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q || v.Name != attrs.Name || v.ParentIndex != attrs.ParentIndex {
			t.Errorf("tag %d became %+v", tag, v)
		}
		tags = append(tags, tag)
		return &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	}
	sandboxed(t, false, func(h *Home) {
		tap(t, "trunk0")
		s, err := h.Make(filepath.Join(t.TempDir(), "ns"))
		if err != nil {
			t.Error(err)
			return
		}
		config := func(tags ...uint32) *guestv1.NetworkConfig {
			c := &guestv1.NetworkConfig{}
			for _, tag := range tags {
				c.Interfaces = append(c.Interfaces, &guestv1.Interface{Link: "trunk0", Tag: tag, Name: "eth" + string('0'+rune(len(c.Interfaces))), Mac: []byte{2, 0, 0, 0, 0, byte(tag)}})
			}
			return c
		}
		for _, step := range []struct {
			config *guestv1.NetworkConfig
			want   []string
		}{{config(7, 9), []string{"eth0", "eth1", "lo"}}, {config(7, 9), []string{"eth0", "eth1", "lo"}}, {config(9), []string{"eth0", "lo"}}, {config(), []string{"lo"}}} {
			if err := s.Configure(t.Context(), step.config); err != nil {
				t.Error(err)
			}
			if got := linkNames(t, s); !slices.Equal(got, step.want) {
				t.Errorf("interfaces %q, expected %q", got, step.want)
			}
		}
		if !slices.Equal(tags, []uint32{7, 9}) {
			t.Errorf("devices were made for the tags %v", tags)
		}
		if _, err := netlink.LinkByName("trunk0"); err != nil {
			t.Errorf("the trunk: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestHomeIsGivenOnce gives the sandbox's namespace to the first container, and again only if that one never ran.
func TestHomeIsGivenOnce(t *testing.T) {
	sandboxed(t, true, func(h *Home) {
		dir := t.TempDir()
		space := func(name string) *Space {
			s, err := h.Make(filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
				runtime.Goexit()
			}
			return s
		}
		a := space("a")
		b := space("b")
		if !a.shared || b.shared {
			t.Errorf("shared: %v, %v", a.shared, b.shared)
		}
		trunk := &guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{{Link: "trunk0", Tag: 1, Name: "eth0"}}}
		if err := a.Configure(t.Context(), trunk); !errdefs.IsInvalidArgument(err) {
			t.Errorf("a trunk in the sandbox's own namespace: %v", err)
		}
		if err := a.Undo(); err != nil {
			t.Error(err)
		}
		if a = space("a"); !a.shared {
			t.Error("the sandbox's namespace was not given again after it was not used")
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if a = space("a"); a.shared {
			t.Error("the sandbox's namespace was given twice")
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("pins are left: %v, %v", left, err)
		}
	})
	for name, f := range map[string]func(h *Home){"occupied": (*Home).Occupy, "not free": func(*Home) {}} {
		sandboxed(t, name == "occupied", func(h *Home) {
			f(h)
			s, err := h.Make(filepath.Join(t.TempDir(), "ns"))
			if err != nil {
				t.Error(err)
				return
			}
			if s.shared {
				t.Errorf("%s: the sandbox's namespace was given", name)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestVanishedLink configures on when the host has taken a link away.
func TestVanishedLink(t *testing.T) {
	sandboxed(t, true, func(h *Home) {
		tap(t, "a")
		tap(t, "b")
		s, err := h.Make(filepath.Join(t.TempDir(), "ns"))
		if err != nil {
			t.Error(err)
			return
		}
		eth0, eth1 := &guestv1.Interface{Link: "a", Name: "eth0", Addresses: []string{"10.0.0.2/24"}}, &guestv1.Interface{Link: "b", Name: "eth1"}
		if err := s.Configure(t.Context(), &guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{eth0, eth1}}); err != nil {
			t.Error(err)
		}
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		if err := netlink.LinkDel(l); err != nil {
			t.Error(err)
		}
		if err := s.Configure(t.Context(), &guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{eth1}}); err != nil {
			t.Error(err)
		}
		if got := linkNames(t, s); !slices.Equal(got, []string{"eth1", "lo"}) {
			t.Errorf("interfaces %q", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := linkNames(t, &Space{home: h, file: h.file}); !slices.Equal(got, []string{"b", "lo"}) {
			t.Errorf("afterwards the sandbox has %q", got)
		}
	})
}

func TestConfigurationsAreChecked(t *testing.T) {
	eth := func(change func(i *guestv1.Interface)) *guestv1.NetworkConfig {
		i := &guestv1.Interface{Link: "a", Name: "eth0", Addresses: []string{"10.0.0.2/24"}, Gateway: "10.0.0.1"}
		change(i)
		return &guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{i}}
	}
	same := func(*guestv1.Interface) {}
	if err := Check(eth(same)); err != nil {
		t.Fatal(err)
	}
	two := eth(same)
	two.Interfaces = append(two.Interfaces, eth(same).Interfaces...)
	defaults := eth(same)
	defaults.Interfaces = append(defaults.Interfaces, eth(func(i *guestv1.Interface) { i.Link, i.Name = "b", "eth1" }).Interfaces...)
	for name, c := range map[string]*guestv1.NetworkConfig{
		"twice":         two,
		"two defaults":  defaults,
		"no link":       eth(func(i *guestv1.Interface) { i.Link = "" }),
		"lo":            eth(func(i *guestv1.Interface) { i.Name = "lo" }),
		"long name":     eth(func(i *guestv1.Interface) { i.Name = strings.Repeat("x", 16) }),
		"path":          eth(func(i *guestv1.Interface) { i.Name = "../eth0" }),
		"dots":          eth(func(i *guestv1.Interface) { i.Name = ".." }),
		"format":        eth(func(i *guestv1.Interface) { i.Name = "eth%d" }),
		"tag":           eth(func(i *guestv1.Interface) { i.Tag = 4095 }),
		"MAC":           eth(func(i *guestv1.Interface) { i.Mac = []byte{1} }),
		"MTU":           eth(func(i *guestv1.Interface) { i.Mtu = 1 << 20 }),
		"address":       eth(func(i *guestv1.Interface) { i.Addresses = []string{"10.0.0.2"} }),
		"gateway":       eth(func(i *guestv1.Interface) { i.Gateway = "fd00::1" }),
		"gateway 6":     eth(func(i *guestv1.Interface) { i.Gateway6 = "10.0.0.1" }),
		"route":         eth(func(i *guestv1.Interface) { i.Routes = []*guestv1.Route{{Destination: "10.0.0.1"}} }),
		"next hop":      eth(func(i *guestv1.Interface) { i.Routes = []*guestv1.Route{{Destination: "10.0.0.0/8", NextHop: "x"}} }),
		"sysctl":        eth(func(i *guestv1.Interface) { i.Sysctls = []string{"net.ipv4.ip_forward=1"} }),
		"sysctl kernel": eth(func(i *guestv1.Interface) { i.Sysctls = []string{"kernel.IFNAME=1"} }),
		"sysctl path":   eth(func(i *guestv1.Interface) { i.Sysctls = []string{"net.IFNAME/../../kernel.x=1"} }),
		"many":          {Interfaces: make([]*guestv1.Interface, maxInterfaces+1)},
		"many addrs":    eth(func(i *guestv1.Interface) { i.Addresses = make([]string, maxPerKind+1) }),
	} {
		if err := Check(c); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSysctlsStayOfTheNetwork(t *testing.T) {
	for _, key := range []string{"kernel.hostname", "net.../../kernel/hostname", "net", "", "net/../kernel/hostname", "net..ipv4...../../../../etc/passwd"} {
		if err := WriteSysctl(key, "x"); err == nil || !strings.HasPrefix(err.Error(), "open sysctl "+key+" file: ") {
			t.Errorf("%q: %v", key, err)
		}
	}
}
