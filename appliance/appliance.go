package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/appliance/imapd"
	"letterbox/store"
	"letterbox/tls/certs"
	"letterbox/webui"
)

// tlsDir is the folder of the certificates inside the data directory.
const tlsDir = "tls"

// drainTime is how long Run waits, at its end, for what is under way.
const drainTime = 4 * time.Second

// LevelTrace is the level at which everything said on an IMAP connection is logged, without passwords.
const LevelTrace = imapd.LevelTrace

// Options are what Open needs beside a data directory. The zero value serves.
type Options struct {
	Log       *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // nil: time.Now
	Version   string           // of the program
	BuildDate time.Time        // a clock before it is not believed; zero: every clock is
	Defaults  config.Config    // what set-up starts from; zero: config.Default
}

// Appliance is one letterbox. All methods may be called from many goroutines at once, except that Run is called once.
type Appliance struct {
	dir     string
	log     *slog.Logger
	now     func() time.Time
	version string

	store    *store.Store
	accounts *accounts.Accounts
	certs    *certs.Manager
	ui       *webui.UI

	state   atomic.Pointer[state]
	started atomic.Pointer[time.Time]   // nil: not running
	waited  atomic.Pointer[waitingCode] // for FirstCode; nil: there is none

	updating sync.Mutex   // held by whoever applies a configuration
	services serviceTable // changed while updating is held
}

// state is the configuration in force. It is never changed, only replaced.
type state struct {
	config     config.Config
	configured bool // false: config is what set-up starts from
}

// Open opens the letterbox whose data lies in dir, making dir where it is missing, and starts nothing. It holds the data until
// Close; while another program holds it, the error is store.ErrLocked. A configuration with faults is an error of type config.Faults.
func Open(dir string, o Options) (_ *Appliance, err error) {
	a := &Appliance{dir: dir, log: o.Log, now: o.Now, version: o.Version}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.store, err = store.Open(dir, store.Options{Log: a.log, Now: a.now, NearlyFull: a.warnNearlyFull}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.store.Close()
		}
	}()
	initial, err := loadState(dir, o.Defaults) // under the store's lock: another program may just have been changing it
	if err != nil {
		return nil, err
	}
	if a.certs, err = certs.Open(certs.Options{Dir: filepath.Join(dir, tlsDir), Now: a.now, Log: a.log, BuildDate: o.BuildDate}); err != nil {
		return nil, err
	}
	a.accounts = accounts.New(accounts.Options{Now: a.now})
	a.state.Store(&initial)
	if initial.configured {
		a.accounts.Apply(initial.config)
		a.bound(initial.config)
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "" // no name is proposed from it then
	}
	a.ui = webui.New(webui.Options{Appliance: a, Machine: machine, Now: a.now, Log: a.log})
	return a, nil
}

func loadState(dir string, defaults config.Config) (state, error) {
	c, err := config.Load(filepath.Join(dir, config.FileName))
	switch {
	case err == nil:
		return state{config: c, configured: true}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return state{}, err
	case defaults.Version == 0:
		return state{config: config.Default()}, nil
	default:
		return state{config: defaults.Clone()}, nil
	}
}

// Close gives the data back. It is called once, after Run has returned if Run was called.
func (a *Appliance) Close() error { return a.store.Close() }

// Config returns a copy of the configuration in force, and whether there is one: if not, it is what set-up starts from.
func (a *Appliance) Config() (config.Config, bool) {
	s := a.state.Load()
	return s.config.Clone(), s.configured
}

// Run serves until ctx ends, then stops taking connections, gives what is under way a few seconds, and returns. ready, if it is not
// nil, is called once everything listens. The error says in a sentence what could not be started or what failed.
func (a *Appliance) Run(ctx context.Context, ready func()) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// Whoever finds the server ready finds its control socket, too.
	socket, err := control.Listen(filepath.Join(a.dir, control.SocketName))
	if err != nil {
		return err
	}
	run := func(ctx context.Context, name string, part func(context.Context) error) {
		parts.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	run(ctx, "control socket", func(ctx context.Context) error { return serveHTTP(ctx, socket, control.Handler(a)) })
	// The servers that are drained still need these.
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	run(inner, "store", a.store.Run)
	run(inner, "certificates", a.certs.Run)
	run(inner, "passwords", func(ctx context.Context) error { return a.accounts.Run(ctx, a.renewPassword) })

	if err := a.takeCode(); err != nil {
		return err
	}
	now := a.now()
	a.started.Store(&now)
	defer a.started.Store(nil)
	if err := a.start(ctx); err != nil {
		return err
	}
	for _, s := range a.services.status() {
		a.log.Info("serving", "service", s.Service, "addr", s.Address)
	}
	a.log.Info("ready", "version", a.version)
	if ready != nil {
		ready()
	}
	<-ctx.Done()
	a.stop()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// start applies the configuration that there is, or opens the set-up page alone.
func (a *Appliance) start(ctx context.Context) error {
	a.updating.Lock()
	defer a.updating.Unlock()
	s := *a.state.Load()
	a.services.open = true
	if err := a.apply(ctx, s, nil); err != nil {
		a.services.open = false
		a.services.stopAll(a.log)
		return err
	}
	return nil
}

// stop drains every service.
func (a *Appliance) stop() {
	a.updating.Lock()
	defer a.updating.Unlock()
	a.services.open = false
	a.services.stopAll(a.log)
}

// Client is the control plane over a, for a program that does not run it.
func (a *Appliance) Client() *control.Client { return control.InProcess(control.Handler(a)) }
