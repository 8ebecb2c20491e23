package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
)

// echo answers with all of stdin once it has ended, then goes on.
func echo() []server.Route {
	return []server.Route{{Method: "POST", Path: "/echo", Handler: func(_ context.Context, r *server.Request) (server.Response, error) {
		var body struct{ Tty bool }
		if err := r.JSON(&body); err != nil {
			return server.Response{}, err
		}
		return server.Hijack(server.MediaMultiplexed, func(_ context.Context, conn *server.HijackConn) error {
			in, err := io.ReadAll(conn)
			if err != nil {
				return err
			}
			if _, err := conn.Write(append([]byte("got "), in...)); err != nil {
				return err
			}
			if err := conn.CloseWrite(); err != nil {
				return err
			}
			_, err = conn.Read(make([]byte, 1))
			return err
		}), nil
	}}}
}

// A body that the handler does not read, as dockerode sends one to attach, is no stdin.
func TestHijackWithUnreadBody(t *testing.T) {
	l, err := net.Listen("unix", shortDir(t)+"/s")
	if err != nil {
		t.Fatal(err)
	}
	route := server.Route{Method: "POST", Path: "/attach", Handler: func(context.Context, *server.Request) (server.Response, error) {
		return server.Hijack(server.MediaRaw, func(_ context.Context, conn *server.HijackConn) error {
			in, err := io.ReadAll(conn)
			if err != nil {
				return err
			}
			_, err = conn.Write(in)
			return err
		}), nil
	}}
	serve(t, server.Config{Routes: []server.Route{route}}, l)
	for _, parts := range [][]string{
		{"Content-Length: 15\r\n\r\n{\"stream\":true}stdin"},
		{"Content-Length: 15\r\n\r\n", "{\"stream\"", ":true}st", "din"},
		{"Transfer-Encoding: chunked\r\n\r\nf\r\n{\"stream\":true}\r\n0\r\n\r\n", "stdin"},
		{"\r\nstdin"},
	} {
		conn := dial(t, "unix", l.Addr().String())
		// An empty Host is what Docker's CLI before version 23 sends.
		send(t, conn, "POST /v1.41/attach HTTP/1.1\r\nHost: \r\n")
		for _, p := range parts {
			send(t, conn, p)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if _, err := readHead(r); err != nil {
			t.Fatal(err)
		}
		if out, err := io.ReadAll(r); err != nil || string(out) != "stdin" {
			t.Errorf("%q: stdin was %q, %v", parts, out, err)
		}
	}
}

func TestHijack(t *testing.T) {
	tests := []struct {
		name, headers, want string
	}{
		{"upgraded", "Connection: Upgrade\r\nUpgrade: tcp\r\n",
			"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"},
		{"raw", "", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"},
	}
	for _, tt := range tests {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(tt.name+" "+network, func(t *testing.T) {
				address := "127.0.0.1:0"
				if network == "unix" {
					address = shortDir(t) + "/s"
				}
				l, err := net.Listen(network, address)
				if err != nil {
					t.Fatal(err)
				}
				serve(t, server.Config{Routes: echo()}, l)
				conn := dial(t, network, l.Addr().String())
				// The first bytes of stdin come in the same packet as the request.
				send(t, conn, "POST /v1.42/echo HTTP/1.1\r\nHost: localhost\r\n"+tt.headers+
					"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}early ")
				r := bufio.NewReader(conn)
				head, err := readHead(r)
				if err != nil {
					t.Fatal(err)
				}
				if head != tt.want {
					t.Errorf("head %q, want %q", head, tt.want)
				}
				send(t, conn, "late")
				if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				out, err := io.ReadAll(r)
				if err != nil || string(out) != "got early late" {
					t.Errorf("out %q, %v", out, err)
				}
			})
		}
	}
}

func TestHijackWithALingeringReader(t *testing.T) {
	reading := make(chan error, 1)
	s := servertest.New(t, []server.Route{{Method: "POST", Path: "/x", Handler: func(context.Context, *server.Request) (server.Response, error) {
		return server.Hijack(server.MediaRaw, func(_ context.Context, conn *server.HijackConn) error {
			go func() {
				_, err := io.Copy(io.Discard, conn)
				reading <- err
			}()
			_, err := io.WriteString(conn, "bye")
			return err
		}), nil
	}}})
	conn := dial(t, "unix", s.Socket)
	send(t, conn, "POST /x HTTP/1.1\r\nHost: d\r\n\r\n")
	out, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(out), "\r\n\r\nbye") {
		t.Errorf("%q, %v", out, err)
	}
	if err := <-reading; err == nil {
		t.Error("the reader ended without an error")
	}
}

func TestHTTP10(t *testing.T) {
	s := servertest.New(t, routes())
	for _, tt := range []struct{ path, want string }{
		{"/stream", strings.Repeat("x", 30000)}, {"/lazy", "hello"}, {"/_ping", "OK"},
	} {
		conn := dial(t, "unix", s.Socket)
		send(t, conn, "GET "+tt.path+" HTTP/1.0\r\n\r\n")
		r := bufio.NewReader(conn)
		head, err := readHead(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(head, "chunked") {
			t.Errorf("chunks for HTTP/1.0: %q", head)
		}
		if out, err := io.ReadAll(r); err != nil || string(out) != tt.want {
			t.Errorf("%s: %.80q, %v", tt.path, out, err)
		}
		_ = conn.Close()
	}
}

func TestKeepAliveAfterStreams(t *testing.T) {
	s := servertest.New(t, routes())
	conn := dial(t, "unix", s.Socket)
	// Pipelined, so that the second answer follows the first stream on the same connection.
	send(t, conn, strings.Repeat("GET /lazy HTTP/1.1\r\nHost: d\r\n\r\n", 3)+"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
	out, err := io.ReadAll(conn)
	if err != nil || strings.Count(string(out), "5\r\nhello\r\n0\r\n\r\n") != 3 || !strings.HasSuffix(string(out), "OK") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestBrowsersAreRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server.Config{Routes: routes()}, l)
	for headers, want := range map[string]string{
		"Host: localhost\r\n":                             "200",
		"Host: 127.0.0.1:1\r\n":                           "200",
		"Host: [::1]:1\r\n":                               "200",
		"Host: evil.example\r\n":                          "403",
		"Host: localhost\r\nOrigin: http://localhost\r\n": "403",
	} {
		conn := dial(t, "tcp", l.Addr().String())
		send(t, conn, "GET /_ping HTTP/1.1\r\n"+headers+"\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("%q: %q, %v", headers, line, err)
		}
		_ = conn.Close()
	}
}

func TestMalformedHTTP(t *testing.T) {
	s := servertest.New(t, routes())
	for _, text := range []string{"GET\r\n\r\n", "\x00\x01\x02\r\n\r\n", "GET /_ping HTTP/1.1\r\nHost: d\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100) + "\r\n",
		"POST /json HTTP/1.1\r\nHost: d\r\nContent-Length: -5\r\n\r\n", "GET /_ping?a=%zz HTTP/1.1\r\nHost: d\r\n\r\n"} {
		conn := dial(t, "unix", s.Socket)
		send(t, conn, text)
		out, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(out, "HTTP/1.1 4") {
			t.Errorf("%.40q: %.200q, %v", text, out, err)
		}
		_ = conn.Close()
	}
}
