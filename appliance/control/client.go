package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"letterbox/appliance/config"
)

// maxAnswer is the largest answer read, in octets.
const maxAnswer = 4 << 20

// ErrNotRunning says that no server answers at the socket: whoever has the right may
// open the data directly.
var ErrNotRunning = errors.New("no letterbox is running here")

// Client asks the control plane. What cannot be done comes back as *Error. Its methods
// may be called at once.
type Client struct{ http http.Client }

// Dial returns a client for the server whose socket is at path, or ErrNotRunning if
// there is none.
func Dial(path string) (*Client, error) {
	conn, err := dialUnix(context.Background(), path)
	if err != nil {
		return nil, err
	}
	conn.Close()
	return newClient(&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialUnix(ctx, path)
		},
	}), nil
}

// InProcess returns a client for a handler in this process, for when no server runs.
func InProcess(h http.Handler) *Client { return newClient(inProcess{h}) }

func newClient(t http.RoundTripper) *Client {
	return &Client{http: http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close gives up what the client holds.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Status tells how things stand.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "status", nil)
}

// SetupCode makes a new code for the set-up page.
func (c *Client) SetupCode(ctx context.Context) (SetupInfo, error) {
	return ask[SetupInfo](ctx, c, http.MethodPost, "setup-code", nil)
}

// People lists everybody who has a mailbox.
func (c *Client) People(ctx context.Context) ([]Person, error) {
	return ask[[]Person](ctx, c, http.MethodGet, "people", nil)
}

// AddPerson adds somebody.
func (c *Client) AddPerson(ctx context.Context, p NewPerson) error {
	_, err := ask[none](ctx, c, http.MethodPost, "people", p)
	return err
}

// SetPassword gives a person another password of their own.
func (c *Client) SetPassword(ctx context.Context, person, password string) error {
	return c.aboutPerson(ctx, http.MethodPut, person, "/password", passwordBody{password})
}

// RemovePerson removes somebody. Their mail stays on the disk, put aside.
func (c *Client) RemovePerson(ctx context.Context, person string) error {
	return c.aboutPerson(ctx, http.MethodDelete, person, "", nil)
}

// Devices lists the device passwords of a person.
func (c *Client) Devices(ctx context.Context, person string) ([]Device, error) {
	path, err := personPath(person)
	if err != nil {
		return nil, err
	}
	return ask[[]Device](ctx, c, http.MethodGet, path+"/devices", nil)
}

// AddDevice makes a device password. It is in the answer, and can never be had again.
func (c *Client) AddDevice(ctx context.Context, person, name string) (NewDevice, error) {
	path, err := personPath(person)
	if err != nil {
		return NewDevice{}, err
	}
	return ask[NewDevice](ctx, c, http.MethodPost, path+"/devices", deviceBody{name})
}

// RevokeDevice makes a device password worthless.
func (c *Client) RevokeDevice(ctx context.Context, person, name string) error {
	return c.aboutPerson(ctx, http.MethodDelete, person, "/devices?"+url.Values{"name": {name}}.Encode(), nil)
}

// none is the answer where there is nothing to say.
type none struct{}

// aboutPerson does something with a person that has no answer.
func (c *Client) aboutPerson(ctx context.Context, method, person, rest string, body any) error {
	path, err := personPath(person)
	if err != nil {
		return err
	}
	_, err = ask[none](ctx, c, method, path+rest, body)
	return err
}

// personPath is the path of a person. What cannot be a name is nobody's: it does not
// become part of a path.
func personPath(name string) (string, error) {
	name = config.FoldName(name)
	if config.CheckPersonName(name) != nil {
		return "", nobody(name)
	}
	return "people/" + name, nil
}

// ask sends one request and reads the answer. body is sent as JSON, unless it is nil.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (answer T, err error) {
	if body == nil {
		return send[T](ctx, c, method, path, "", http.NoBody)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer, fmt.Errorf("write the request: %w", err)
	}
	return send[T](ctx, c, method, path, "application/json", bytes.NewReader(encoded))
}

// send sends one request, whose body is of the kind, and reads the answer.
func send[T any](ctx context.Context, c *Client, method, path, kind string, body io.Reader) (answer T, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://letterbox/api/v1/"+path, body)
	if err != nil {
		return answer, fmt.Errorf("write the request: %w", err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error // it would name an address that does not exist
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return answer, fmt.Errorf("ask the running letterbox, which answers its owner and root alone: %w", err)
	}
	defer resp.Body.Close()
	return readAnswer[T](resp)
}

func readAnswer[T any](resp *http.Response) (answer T, err error) {
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		e := &Error{Status: resp.StatusCode}
		if json.Unmarshal(content, e) != nil || e.Reason == "" {
			e.Reason = "the answer was " + strings.ToLower(resp.Status)
		}
		return answer, e
	}
	if resp.StatusCode == http.StatusNoContent {
		return answer, nil
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return answer, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}

// inProcess hands requests to a handler and keeps its answer in memory.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &kept{header: http.Header{}, status: http.StatusOK}
	p.handler.ServeHTTP(w, r.Clone(r.Context()))
	return &http.Response{
		Status:        http.StatusText(w.status),
		StatusCode:    w.status,
		Header:        w.header,
		Body:          io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}, nil
}

// kept is an http.ResponseWriter into memory.
type kept struct {
	header  http.Header
	status  int
	started bool
	body    bytes.Buffer
}

func (a *kept) Header() http.Header { return a.header }

func (a *kept) WriteHeader(status int) {
	if !a.started {
		a.status, a.started = status, true
	}
}

func (a *kept) Write(b []byte) (int, error) {
	a.started = true
	return a.body.Write(b)
}
