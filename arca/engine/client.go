package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

// Client speaks to one API socket.
type Client struct{ http *http.Client }

// New tells a client of the socket; nothing is dialled yet.
func New(socket string) *Client {
	var d net.Dialer
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     10 * time.Second,
	}}}
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ping tells whether the API answers.
func (c *Client) Ping(ctx context.Context) error { return c.do(ctx, http.MethodGet, "/_ping", nil) }

// Version is what the CLI reads of GET /version.
type Version struct {
	Version       string
	APIVersion    string `json:"ApiVersion"`
	MinAPIVersion string
	GitCommit     string
}

// Version tells the server's version.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.do(ctx, http.MethodGet, "/version", &v)
}

// Info is what the CLI reads of GET /info.
type Info struct {
	ContainersRunning  int
	Containers         int
	Images             int
	Warnings           []string
	LiveRestoreEnabled bool
	OSType             string
	DriverStatus       [][2]string
	CgroupDriver       string
	CgroupVersion      string
}

// Fact is a named line of Info.
type Fact struct{ Name, Value string }

// Drivers tells what containers run in, as the server tells it.
func (i Info) Drivers() []Fact {
	var facts []Fact
	for _, pair := range i.DriverStatus {
		facts = append(facts, Fact{Name: pair[0], Value: pair[1]})
	}
	if i.CgroupVersion != "" {
		facts = append(facts, Fact{Name: "Cgroups", Value: "version " + i.CgroupVersion + ", driver " + i.CgroupDriver})
	}
	return facts
}

// Info tells the server's figures.
func (c *Client) Info(ctx context.Context) (i Info, err error) {
	return i, c.do(ctx, http.MethodGet, "/info", &i)
}

// Error is an answer that is not a success.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (HTTP %d)", e.Message, e.Status) }

func (c *Client) do(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://arca"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		answer := &Error{Status: resp.StatusCode, Message: http.StatusText(resp.StatusCode)}
		var told struct{ Message string }
		if json.Unmarshal(body, &told) == nil && told.Message != "" {
			answer.Message = told.Message
		}
		return fmt.Errorf("%s %s: %w", method, path, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
