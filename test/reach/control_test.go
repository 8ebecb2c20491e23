//go:build integration

package reach

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// TestGatewayPorts: a gateway answers on the port of names itself, and else leads to what the host has on its loopback, as
// with dockerd; the gateway of an internal network answers nothing. Who tries all ports finds no other.
func TestGatewayPorts(t *testing.T) {
	t.Parallel()
	if arca.Peer() {
		t.Skip("Docker's gateway is the host")
	}
	ours := network(t, "--ipv6", "--subnet", "fd00:77:3::/64", "--gateway", "fd00:77:3::1")
	inside, open := join(t, ours), join(t, ours)
	// The scan finds what is open.
	arca.Docker(t, "exec", "-d", open.name, "httpd", "-f", "-p", "7777").OK()
	for _, address := range []string{open.address4, open.address6} {
		harness.Eventually(t, 20*time.Second, func() error {
			if ports := scanned(t, inside, address, "7770-7780"); !slices.Equal(ports, []int{7777}) {
				return fmt.Errorf("the scan of %s finds %v", address, ports)
			}
			return nil
		})
	}

	for _, gateway := range []string{inside.gateway4, inside.gateway6} {
		before := hostPorts(t)
		ports := scanned(t, inside, gateway, "1-65535")
		known := append(hostPorts(t), before...) // Others come and go.
		for _, port := range ports {
			if port != 53 && !slices.Contains(known, port) {
				t.Errorf("gateway %s listens on %d", gateway, port)
			}
		}
	}
	sealed := join(t, network(t, "--internal"))
	if sealed.gateway4 == "" {
		return
	}
	if ports := scanned(t, sealed, sealed.gateway4, "1-65535"); len(ports) > 0 && !slices.Equal(ports, []int{53}) {
		t.Errorf("the gateway of an internal network listens on %v", ports)
	}
}

// hostPorts are those on which anybody listens on this machine.
func hostPorts(t *testing.T) (ports []int) {
	t.Helper()
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			const listening = "0A"
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != listening {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, int(port))
		}
	}
	return ports
}

// scanned tells the open ports of an address.
func scanned(t *testing.T, from endpoint, address, ports string) []int {
	t.Helper()
	var open []int
	for _, s := range strings.Fields(from.exec(t, "probe", "scan", "-ports", ports, address).OK().Line())[2:] {
		port, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, port)
	}
	return open
}

// TestHostListeners: by the host's name a container reaches what others serve on the host, but no listener of the
// engine; and the engine listens on nothing but what is published.
func TestHostListeners(t *testing.T) {
	t.Parallel()
	if arca.Peer() {
		t.Skip("it looks at Arca's processes")
	}
	inside := join(t, network(t), "--add-host", "machine:host-gateway", "-p", "127.0.0.1::7777")
	published := arca.Docker(t, "port", inside.name, "7777/tcp").OK().Line()
	_, port, err := net.SplitHostPort(published)
	if err != nil {
		t.Fatal(err)
	}
	own := listeners(t, arca.Home)
	if !slices.Contains(own, port) {
		t.Errorf("the published port %s is not among the engine's listeners %v", port, own)
	}
	address := strings.Fields(inside.exec(t, "sh", "-c", "grep machine /etc/hosts").OK().Stdout)[0]
	for _, p := range []string{"1-1024", "2375-2377", "6640-6645"} {
		for _, open := range scanned(t, inside, address, p) {
			if slices.Contains(own, strconv.Itoa(open)) {
				t.Errorf("on %s the engine's port %d is open", address, open)
			}
		}
	}
	// Abstract unix sockets are the network namespace's: there is none of ours.
	inside.exec(t, "cat", "/proc/net/unix").OK().OutLacks("@", "arca")
}

// TestVsock: no container reaches anything over AF_VSOCK, a privileged one neither.
func TestVsock(t *testing.T) {
	t.Parallel()
	if arca.Peer() {
		t.Skip("Docker's containers have the host's vsock")
	}
	for _, flags := range [][]string{{}, {"--privileged"}} {
		arca.Docker(t, append(append([]string{"run", "--rm", "--network", "none"}, flags...), "probe", "probe", "vsock")...).OK().OutLacks("reached").OutHas("vsock 2:1024 ")
	}
}

// listeners tells the TCP ports on which the processes of an instance listen in the machine's network namespace.
func listeners(t *testing.T, home string) []string {
	t.Helper()
	ports := map[string]string{} // by inode
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			const listening = "0A"
			if len(f) < 10 || f[3] != listening {
				continue
			}
			port, err := strconv.ParseUint(f[1][strings.LastIndexByte(f[1], ':')+1:], 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports[f[9]] = fmt.Sprint(port)
		}
	}
	var own []string
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), home) {
			continue // of another instance, or it ended meanwhile
		}
		descriptors, err := filepath.Glob(filepath.Join(filepath.Dir(file), "fd", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range descriptors {
			target, err := os.Readlink(d)
			if err != nil {
				continue
			}
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				if port := ports[strings.TrimSuffix(inode, "]")]; port != "" {
					own = append(own, port)
				}
			}
		}
	}
	return own
}
