//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// network makes a network that goes with the test.
func network(t *testing.T, flags ...string) string {
	t.Helper()
	name := harness.Name(t)
	arca.Docker(t, append(append([]string{"network", "create"}, flags...), name)...).OK()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.CommandTimeout)
		defer cancel()
		if out, err := arca.Command(ctx, "network", "rm", name).CombinedOutput(); err != nil && !strings.Contains(string(out), "not found") {
			t.Errorf("remove network: %s", out)
		}
	})
	return name
}

// httpd runs a web server that tells its name.
func httpd(t *testing.T, flags ...string) string {
	t.Helper()
	return arca.Start(t, append(flags, "busybox", "sh", "-c", "mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www")...)
}

// address is a container's IPv4 address in a network.
func address(t *testing.T, container, network string) string {
	t.Helper()
	return arca.Docker(t, "inspect", "-f", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`, container).OK().Line()
}

// unreachable checks that a container cannot fetch what is there for others.
func unreachable(t *testing.T, container, url string) {
	t.Helper()
	out := arca.Docker(t, "exec", container, "sh", "-c", "timeout 2 wget -qO- "+url+" || echo failed").OK().Stdout
	if out != "failed\n" {
		t.Errorf("%s reaches %s: %q", container, url, out)
	}
}

func TestNamesAndTraffic(t *testing.T) {
	t.Parallel()
	n := network(t)
	web := httpd(t, "--network", n, "--network-alias", "www", "--hostname", "the-web")
	client := arca.Sleeper(t, "--network", n)
	for _, name := range []string{web, "www", web + "." + n, arca.Inspect(t, web, "{{slice .Id 0 12}}"), address(t, web, n)} {
		arca.Docker(t, "exec", client, "timeout", "10", "wget", "-qO-", "http://"+name+"/").OK().Out("the-web\n")
	}
	arca.Docker(t, "exec", client, "ping", "-c2", "-W2", web).OK().OutHas("2 packets received")
	arca.Docker(t, "exec", client, "nslookup", "no-such-name.invalid").Exit(1)
	arca.Docker(t, "exec", client, "cat", "/etc/resolv.conf").OK().OutHas("nameserver 127.0.0.11\n", "options ndots:0")
	arca.Docker(t, "exec", client, "nslookup", address(t, web, n)).OK().OutHas(web + "." + n)
	// A name goes with its container, at once.
	arca.Docker(t, "stop", "-t0", web).OK()
	arca.Docker(t, "exec", client, "nslookup", "www").Exit(1)
	arca.Docker(t, "start", web).OK()
	arca.Docker(t, "exec", client, "timeout", "10", "wget", "-qO-", "http://www/").OK().Out("the-web\n")
}

func TestAliasOfSeveral(t *testing.T) {
	t.Parallel()
	n := network(t)
	for range 3 {
		httpd(t, "--network", n, "--network-alias", "many")
	}
	client := arca.Sleeper(t, "--network", n)
	out := arca.Docker(t, "exec", client, "nslookup", "many").OK().Stdout
	if got := strings.Count(out, "Address") - 1; got < 3 {
		t.Errorf("three containers answer to one alias, %d addresses: %s", got, out)
	}
}

func TestIsolationOfNetworks(t *testing.T) {
	t.Parallel()
	one, two := network(t), network(t)
	web := httpd(t, "--network", one)
	client := arca.Sleeper(t, "--network", two)
	unreachable(t, client, "http://"+address(t, web, one)+"/")
	arca.Docker(t, "exec", client, "nslookup", web).Exit(1)
	gateway := arca.Docker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", one).OK().Line()
	arca.Docker(t, "exec", client, "ping", "-c1", "-W2", gateway).Exit(1)
	// ICC off: the gateway alone is reached.
	closed := network(t, "-o", "com.docker.network.bridge.enable_icc=false")
	a, b := arca.Sleeper(t, "--network", closed), arca.Sleeper(t, "--network", closed)
	arca.Docker(t, "exec", a, "ping", "-c1", "-W2", address(t, b, closed)).Exit(1)
	arca.Docker(t, "exec", a, "ping", "-c1", "-W2", arca.Docker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", closed).OK().Line()).OK()
}

func TestDefaultBridge(t *testing.T) {
	t.Parallel()
	web := httpd(t)
	client := arca.Sleeper(t)
	arca.Docker(t, "exec", client, "timeout", "10", "wget", "-qO-", "http://"+address(t, web, "bridge")+"/").OK()
	arca.Docker(t, "exec", client, "nslookup", web).Exit(1) // No names there, as in Docker.
	arca.Docker(t, "run", "--rm", "--link", web+":linked", "busybox", "sh", "-c", "wget -qO- http://linked/; env").OK().OutHas("LINKED_NAME=/")
	arca.Docker(t, "exec", client, "ip", "-o", "addr", "show", "eth0").OK().OutHas("inet 172.")
}

func TestConnectAndDisconnect(t *testing.T) {
	t.Parallel()
	one, two := network(t), network(t, "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.1")
	web := httpd(t, "--network", two, "--ip", "10.77.0.10")
	client := arca.Sleeper(t, "--network", one)
	unreachable(t, client, "http://10.77.0.10/")
	arca.Docker(t, "network", "connect", "--ip", "10.77.0.20", "--alias", "other", two, client).OK()
	arca.Docker(t, "exec", client, "timeout", "10", "wget", "-qO-", "http://"+web+"/").OK()
	arca.Docker(t, "exec", web, "ping", "-c1", "-W2", "other").OK().OutHas("10.77.0.20")
	arca.Docker(t, "exec", client, "ip", "-o", "addr", "show", "eth1").OK().OutHas("10.77.0.20/24")
	arca.Docker(t, "exec", client, "cat", "/etc/hosts").OK().OutHas("10.77.0.20\t")
	arca.Docker(t, "network", "connect", two, client).Exit(1).ErrHas("endpoint with name " + client + " already exists in network " + two)
	arca.Docker(t, "network", "disconnect", two, client).OK()
	arca.Docker(t, "exec", client, "ip", "-o", "link").OK().OutLacks("eth1")
	unreachable(t, client, "http://10.77.0.10/")
	arca.Docker(t, "network", "disconnect", two, client).Exit(1)
	// Of a stopped container, and kept over a restart.
	arca.Docker(t, "stop", "-t0", client).OK()
	arca.Docker(t, "network", "connect", "--ip", "10.77.0.30", two, client).OK()
	arca.Docker(t, "start", client).OK()
	arca.Docker(t, "exec", client, "timeout", "10", "wget", "-qO-", "http://"+web+"/").OK()
	if got := address(t, client, two); got != "10.77.0.30" {
		t.Errorf("address %s", got)
	}
	arca.Docker(t, "network", "rm", two).Exit(1).ErrHas("has active endpoints")
	arca.Docker(t, "network", "disconnect", "-f", two, client).OK()
}

func TestInternalNetwork(t *testing.T) {
	t.Parallel()
	n := network(t, "--internal")
	web := httpd(t, "--network", n)
	client := arca.Sleeper(t, "--network", n)
	arca.Docker(t, "exec", client, "timeout", "10", "wget", "-qO-", "http://"+web+"/").OK()
	arca.Docker(t, "exec", client, "ip", "route").OK().OutLacks("default")
	arca.Docker(t, "exec", client, "nslookup", "example.com").Exit(1)
	arca.Docker(t, "exec", client, "ping", "-c1", "-W1", "192.168.127.254").Exit(1)
}

// hostServer is a server on the host's loopback that tells who asks.
func hostServer(t *testing.T) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the host sees "+r.RemoteAddr+"\n")
	}), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestEgressToTheHost(t *testing.T) {
	t.Parallel()
	port := hostServer(t)
	n := network(t)
	arca.Docker(t, "run", "--rm", "--network", n, "busybox", "timeout", "10", "wget", "-qO-", "http://host.docker.internal:"+port+"/").OK().OutHas("the host sees 127.0.0.1:")
	arca.Docker(t, "run", "--rm", "--add-host", "me:host-gateway", "busybox", "timeout", "10", "wget", "-qO-", "http://me:"+port+"/").OK().OutHas("the host sees ")
	arca.Docker(t, "run", "--rm", "--network", n, "busybox", "nslookup", "localhost.localdomain.invalid").Exit(1)
}

// get asks over a published port.
func get(address string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + "/")
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestPublishedPorts(t *testing.T) {
	t.Parallel()
	n := network(t)
	web := httpd(t, "--network", n, "-p", "127.0.0.1::80", "--hostname", "published")
	bound := arca.Docker(t, "port", web, "80/tcp").OK().Line()
	harness.Eventually(t, 10*time.Second, func() error {
		got, err := get(bound)
		if err == nil && got != "published\n" {
			err = errors.New(got)
		}
		return err
	})
	arca.Docker(t, "ps", "--filter", "name="+web, "--format", "{{.Ports}}").OK().Out(bound + "->80/tcp\n")
	_, port, _ := net.SplitHostPort(bound)
	arca.Docker(t, "ps", "-q", "--no-trunc", "--filter", "publish="+port).OK().OutHas(arca.Inspect(t, web, "{{.Id}}"))
	other := arca.Container(t)
	arca.Docker(t, "run", "-d", "--name", other, "-p", bound+":80", "busybox", "sleep", "1000").Exit(125).ErrHas("Bind for " + bound + " failed: port is already allocated")
	arca.Docker(t, "inspect", "-f", "{{.State.Status}}", other).OK().Out("created\n")
	arca.Docker(t, "stop", "-t0", web).OK()
	if got, err := get(bound); err == nil {
		t.Errorf("a stopped container answers %q", got)
	}
	arca.Docker(t, "start", other).OK() // The port is free.
	arca.Docker(t, "rm", "-f", other).OK()
	// What is taken by somebody else of the host.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	arca.Docker(t, "run", "--rm", "-p", l.Addr().String()+":80", "busybox", "true").Exit(125).ErrHas("address already in use")
}

func TestPublishedUDP(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "-p", "127.0.0.1::5000/udp", "debian", "perl", "-MIO::Socket::INET", "-e",
		"my $s = IO::Socket::INET->new(LocalPort => 5000, Proto => 'udp') or die $!; while ($s->recv(my $b, 100)) { $s->send(qq(pong\n)) }")
	bound := arca.Docker(t, "port", name, "5000/udp").OK().Line()
	harness.Eventually(t, 15*time.Second, func() error {
		c, err := net.Dial("udp", bound)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write([]byte("ping\n")); err != nil {
			return err
		}
		b := make([]byte, 100)
		k, err := c.Read(b)
		if err == nil && string(b[:k]) != "pong\n" {
			err = fmt.Errorf("%q", b[:k])
		}
		return err
	})
}

func TestSharedNetworkNamespace(t *testing.T) {
	t.Parallel()
	n := network(t)
	web := httpd(t, "--network", n)
	arca.Docker(t, "run", "--rm", "--network", "container:"+web, "busybox", "sh", "-c", "wget -qO- http://127.0.0.1/ && ip -o addr show eth0 && cat /etc/hosts").OK().
		OutHas(address(t, web, n)+"/", address(t, web, n)+"\t")
}

func TestNetworkStats(t *testing.T) {
	t.Parallel()
	n := network(t)
	web := httpd(t, "--network", n)
	client := arca.Sleeper(t, "--network", n)
	arca.Docker(t, "exec", client, "ping", "-c3", "-i0.2", "-s1000", web).OK()
	out := arca.Docker(t, "stats", "--no-stream", "--format", "{{json .}}", client).OK().Stdout
	var s struct{ NetIO string }
	if err := json.Unmarshal([]byte(out), &s); err != nil || strings.HasPrefix(s.NetIO, "0B") || s.NetIO == "" {
		t.Errorf("%s: %v", out, err)
	}
}

func TestManyOnOneNetworkLeaveNothing(t *testing.T) {
	n := network(t)
	for range 10 {
		arca.Docker(t, "run", "--rm", "--network", n, "busybox", "true").OK()
	}
	arca.Docker(t, "network", "inspect", "-f", "{{len .Containers}}", n).OK().Out("0\n")
	arca.Docker(t, "network", "rm", n).OK()
	arca.Audit(t)
}
