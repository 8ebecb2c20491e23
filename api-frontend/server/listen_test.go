package server_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/api-frontend/server"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	l, err := server.Listen(t.Context(), "unix://"+path, server.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := server.Listen(t.Context(), "unix://"+path, server.ListenOptions{}); err == nil || !strings.Contains(err.Error(), "another engine serves there") {
		t.Errorf("a second engine: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestListenReplacesADeadSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(t.Context(), "unix://"+path, server.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server.Config{Routes: routes(), NoDate: true}, l)
	conn := dial(t, "unix", path)
	defer conn.Close()
	send(t, conn, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
	if head, err := readHead(bufio.NewReader(conn)); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Errorf("%q, %v", head, err)
	}
}

func TestListenRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"tcp://127.0.0.1:0", "fd://", "x", "unix://" + file, "unix:///nonexistent/dir/s"} {
		if l, err := server.Listen(t.Context(), address, server.ListenOptions{}); err == nil {
			t.Errorf("%s is taken", address)
			l.Close()
		}
	}
	path := filepath.Join(shortDir(t), "s")
	if l, err := server.Listen(t.Context(), "unix://"+path, server.ListenOptions{Group: "no-such-group"}); err == nil {
		t.Error("an unknown group is taken")
		l.Close()
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestTLS(t *testing.T) {
	cert, key, pair, pool := certificate(t)
	config, err := server.TLSConfig(cert, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(t.Context(), "tcp://127.0.0.1:0", server.ListenOptions{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	w := newWaiter()
	serve(t, server.Config{Routes: append(w.routes(), echo()...), NoDate: true}, l)

	stranger, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if err == nil {
		_, err = stranger.Read(make([]byte, 1))
		stranger.Close()
	}
	if err == nil {
		t.Error("a client without a certificate is served")
	}

	client := &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{pair}}
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-w.entered
	conn.Close()
	if err := within(t, time.Second, w.ended); !errors.Is(err, server.ErrClientLeft) {
		t.Errorf("ended with %v", err)
	}

	conn, err = tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\nhello")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if _, err := readHead(r); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('o'); err != nil || line != "go" {
		t.Errorf("%q, %v", line, err)
	}
}

// certificate makes a certificate that signs itself, for client and server.
func certificate(t *testing.T) (certFile, keyFile string, pair tls.Certificate, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	if err := errors.Join(os.WriteFile(certFile, certPEM, 0o600), os.WriteFile(keyFile, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pair, pool
}
