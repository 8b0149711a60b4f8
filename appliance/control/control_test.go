package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

const goodPassword = "correct horse battery"

// household is an Appliance without servers: it keeps its configuration in memory.
type household struct {
	mu         sync.Mutex
	config     config.Config
	configured bool
	accounts   *accounts.Accounts
	imported   importer
}

func newHousehold(t testing.TB) *household {
	t.Helper()
	hash, err := accounts.HashPassword(goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	us, err := mailaddr.Parse("us@example.org")
	if err != nil {
		t.Fatal(err)
	}
	boss, err := mailaddr.Parse("boss@example.org")
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Domains = []config.Domain{{Name: "example.org", CatchAll: "ben"}, {Name: "xn--bcher-kva.example"}}
	c.People = []config.Person{{Name: "ann", FullName: "Ann Miller", Password: hash}, {Name: "ben", Password: hash}}
	c.Aliases = []config.Alias{{Address: us, To: []string{"ann", "ben"}}, {Address: boss, To: []string{"ben"}}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	h := &household{config: c, configured: true, accounts: accounts.New(accounts.Options{})}
	h.accounts.Apply(c)
	return h
}

func (h *household) Config() (config.Config, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.config.Clone(), h.configured
}

func (h *household) Update(_ context.Context, change func(*config.Config) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.config.Clone()
	if err := change(&c); err != nil {
		return fmt.Errorf("change the configuration: %w", err)
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("change the configuration: %w", err)
	}
	h.config = c
	h.accounts.Apply(c)
	return nil
}

func (h *household) SetupCode(ctx context.Context) (SetupInfo, error) {
	if err := ctx.Err(); err != nil {
		return SetupInfo{}, err
	}
	return SetupInfo{
		URLs:        []string{"https://192.168.1.2/setup"},
		Code:        "the code",
		Expires:     time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		Fingerprint: "AA:BB",
	}, nil
}

func (h *household) Status() Status {
	return Status{Version: "1.2.3", Configured: h.configured, People: len(h.config.People), Serving: []Serving{{"imaps", "[::]:993"}}}
}

func (h *household) signIn(t *testing.T, login, password string) error {
	t.Helper()
	_, err := h.accounts.SignIn(t.Context(), login, password, netip.Addr{})
	return err
}

// serve runs the handler behind a real socket until the test ends.
func serve(t *testing.T, h *household, path string) *Client {
	t.Helper()
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: Handler(h)}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// both runs a test over a socket, and in this process.
func both(t *testing.T, test func(t *testing.T, h *household, c *Client)) {
	t.Helper()
	t.Parallel()
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		h := newHousehold(t)
		test(t, h, serve(t, h, filepath.Join(t.TempDir(), SocketName)))
	})
	t.Run("in-process", func(t *testing.T) {
		t.Parallel()
		h := newHousehold(t)
		test(t, h, InProcess(Handler(h)))
	})
}

// refused checks that err is an *Error with this status and field, and with a reason
// that contains the words.
func refused(t *testing.T, err error, status int, field, words string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("not refused: %v", err)
		return
	}
	if e.Status != status || e.Field != field || !strings.Contains(e.Reason, words) {
		t.Errorf("refused with %d, %q, %q; want %d, %q, %q", e.Status, e.Field, e.Reason, status, field, words)
	}
}

func TestStatusAndSetupCode(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		status, err := c.Status(t.Context())
		if want := h.Status(); err != nil || fmt.Sprint(status) != fmt.Sprint(want) {
			t.Errorf("%+v, %v; want %+v", status, err, want)
		}
		info, err := c.SetupCode(t.Context())
		want, _ := h.SetupCode(t.Context())
		if err != nil || fmt.Sprint(info) != fmt.Sprint(want) {
			t.Errorf("%+v, %v; want %+v", info, err, want)
		}
	})
}

func TestPeople(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		if err := c.AddPerson(t.Context(), NewPerson{Name: " Cleo ", FullName: "Cleo Müller", Password: "staple, with a comma"}); err != nil {
			t.Fatal(err)
		}
		people, err := c.People(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range people {
			people[i].Used = nil // TestQuota looks at it
		}
		got := fmt.Sprint(people)
		want := "[{ann Ann Miller [ann@example.org ann@bücher.example us@example.org] 0 false false <nil> {0 0}}" +
			" {ben  [ben@example.org ben@bücher.example us@example.org boss@example.org] 0 false false <nil> {0 0}}" +
			" {cleo Cleo Müller [cleo@example.org cleo@bücher.example] 0 false false <nil> {0 0}}]"
		if got != want {
			t.Errorf("people: %s\nwant %s", got, want)
		}
		if err := h.signIn(t, "cleo", "staple, with a comma"); err != nil {
			t.Error(err)
		}
		if err := c.SetPassword(t.Context(), "CLEO", "another, with a comma"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.signIn(t, "cleo", "another, with a comma")); err != nil {
			t.Error(err)
		}
		if err := h.signIn(t, "cleo", "staple, with a comma"); err == nil {
			t.Error("the old password is still good")
		}
	})
}

func TestRemovePerson(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		if err := c.RemovePerson(t.Context(), "ben"); err != nil {
			t.Fatal(err)
		}
		conf, _ := h.Config()
		if len(conf.People) != 1 || len(conf.Aliases) != 1 || len(conf.Aliases[0].To) != 1 || conf.Domains[0].CatchAll != "" {
			t.Errorf("what is left: %+v", conf)
		}
		refused(t, c.RemovePerson(t.Context(), "ben"), 404, "", `nobody called "ben"`)
		refused(t, c.RemovePerson(t.Context(), "ann"), 422, "person", "at least one")
	})
}

func TestDevices(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		const odd = "../Ann's phone? 100% & more/#"
		phone, err := c.AddDevice(t.Context(), "ann", " "+odd+" ")
		if err != nil {
			t.Fatal(err)
		}
		printer, err := c.AddDevice(t.Context(), "ann", "Printer")
		if err != nil {
			t.Fatal(err)
		}
		if phone.Name != odd || phone.Created.IsZero() || phone.Password == printer.Password {
			t.Errorf("the phone is %+v", phone)
		}
		devices, err := c.Devices(t.Context(), "ann")
		if err != nil || len(devices) != 2 || devices[0] != phone.Device {
			t.Errorf("%+v, %v", devices, err)
		}
		if err := errors.Join(h.signIn(t, "ann", phone.Password), h.signIn(t, "ann", printer.Password)); err != nil {
			t.Error(err)
		}
		if err := c.RevokeDevice(t.Context(), "ann", strings.ToUpper(odd)); err != nil {
			t.Fatal(err)
		}
		if h.signIn(t, "ann", phone.Password) == nil {
			t.Error("the phone is still let in")
		}
		if err := h.signIn(t, "ann", printer.Password); err != nil {
			t.Error(err)
		}
		if devices, err := c.Devices(t.Context(), "ben"); err != nil || len(devices) != 0 {
			t.Errorf("ben has %v, %v", devices, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	both(t, func(t *testing.T, h *household, c *Client) {
		ctx := t.Context()
		before, _ := h.Config()
		add := func(name, password string) error { return c.AddPerson(ctx, NewPerson{Name: name, Password: password}) }
		refused(t, add("ann", goodPassword), 409, "name", "already")
		refused(t, add("", goodPassword), 422, "name", "missing")
		refused(t, add("../x", goodPassword), 422, "name", "begins with a letter")
		refused(t, add("postmaster", goodPassword), 422, "name", "reserved")
		refused(t, add("cleo", "short"), 422, "password", "too short")
		refused(t, add("cleo", strings.Repeat("long ", maxBody)), 413, "", "larger")
		refused(t, c.AddPerson(ctx, NewPerson{Name: "cleo", FullName: "Cleo\n", Password: goodPassword}), 422, "person[2].full-name", "control")
		for _, nobody := range []string{"cleo", "", "..", "../ann", "ann/devices", "ann?x", "ann%2f", "\x00"} {
			refused(t, c.SetPassword(ctx, nobody, goodPassword), 404, "", "nobody called")
			refused(t, c.RemovePerson(ctx, nobody), 404, "", "nobody called")
			_, err := c.Devices(ctx, nobody)
			refused(t, err, 404, "", "nobody called")
			_, err = c.AddDevice(ctx, nobody, "phone")
			refused(t, err, 404, "", "nobody called")
			refused(t, c.RevokeDevice(ctx, nobody, "phone"), 404, "", "nobody called")
		}
		refused(t, c.SetPassword(ctx, "ann", "annannannann"), 422, "password", "name")
		refused(t, c.RevokeDevice(ctx, "ann", "phone"), 404, "", "no device")
		_, err := c.AddDevice(ctx, "ann", " ")
		refused(t, err, 422, "name", "needs a name")
		_, err = c.AddDevice(ctx, "ann", strings.Repeat("x", 101))
		refused(t, err, 422, "person[0].device[0].name", "longer")
		if after, _ := h.Config(); fmt.Sprintf("%#v", after) != fmt.Sprintf("%#v", before) {
			t.Errorf("something was changed: %#v", after)
		}
		if _, err := c.AddDevice(ctx, "ann", "Phone"); err != nil {
			t.Fatal(err)
		}
		_, err = c.AddDevice(ctx, "ann", "phone")
		refused(t, err, 409, "name", "already")
	})
}

func TestBeforeSetUp(t *testing.T) {
	t.Parallel()
	h := &household{config: config.Default()}
	c := InProcess(Handler(h))
	refused(t, c.AddPerson(t.Context(), NewPerson{Name: "ann", Password: goodPassword}), 409, "", "set up")
	if people, err := c.People(t.Context()); err != nil || len(people) != 0 {
		t.Errorf("%v, %v", people, err)
	}
	if status, err := c.Status(t.Context()); err != nil || status.Configured {
		t.Errorf("%+v, %v", status, err)
	}
}

// TestBadRequests sends what our own client never sends.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := newHousehold(t)
	tests := []struct {
		name, method, path, kind, body string
		status                         int
	}{
		{"no such path", "GET", "/api/v1/nothing", "", "", 404},
		{"no such version", "GET", "/api/v2/status", "", "", 404},
		{"wrong method", "POST", "/api/v1/status", "", "", 404},
		{"no JSON", "POST", "/api/v1/people", "application/json", "name=ann", 400},
		{"a form", "POST", "/api/v1/people", "application/x-www-form-urlencoded", "name=ann", 415},
		{"no body", "POST", "/api/v1/people", "application/json", "", 400},
		{"two values", "POST", "/api/v1/people", "application/json", `{"name":"x","password":"correct horse"} {}`, 400},
		{"unknown field", "POST", "/api/v1/people", "application/json", `{"name":"x","admin":true}`, 400},
		{"wrong type", "POST", "/api/v1/people", "application/json", `{"name":7}`, 400},
		{"null", "PUT", "/api/v1/people/ann/password", "application/json", `null`, 422},
		{"nested deeply", "POST", "/api/v1/people", "application/json", strings.Repeat("[", 60000), 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), test.method, "http://letterbox"+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.kind)
			resp, err := inProcess{Handler(h)}.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || !strings.Contains(string(body), `{"error":"`) {
				t.Errorf("%d %s, want %d", resp.StatusCode, body, test.status)
			}
		})
	}
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := newHousehold(t)
	if _, err := InProcess(Handler(h)).SetupCode(ctx); err == nil {
		t.Error("done all the same")
	}
	if _, err := serve(t, h, filepath.Join(t.TempDir(), SocketName)).SetupCode(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestChangesAtOnce adds people and devices from many connections: none is lost.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHousehold(t)
	c := serve(t, h, filepath.Join(t.TempDir(), SocketName))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := c.AddDevice(t.Context(), "ann", fmt.Sprint("device ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if devices, err := c.Devices(t.Context(), "ann"); err != nil || len(devices) != 20 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
}

// TestPasswordsAreNotInAddresses records what is asked for: whoever logs requests logs no password.
func TestPasswordsAreNotInAddresses(t *testing.T) {
	t.Parallel()
	h := newHousehold(t)
	var seen strings.Builder
	c := InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(&seen, r.Method, r.URL, r.Header)
		Handler(h).ServeHTTP(w, r)
	}))
	const password = "staple-with-a-comma"
	if err := c.AddPerson(t.Context(), NewPerson{Name: "cleo", Password: password}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPassword(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(seen.String(), "staple") || strings.Count(seen.String(), "\n") != 2 {
		t.Errorf("asked for:\n%s", seen.String())
	}
}
