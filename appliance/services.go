package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
	"letterbox/appliance/listen"
)

// server speaks one protocol on one listener. serve returns when the listener is closed; shutdown ends what is under way, politely
// until ctx ends and at once then.
type server struct {
	serve      func(net.Listener) error
	shutdown   func(context.Context) error
	disconnect func(person string) // ends somebody's sessions; nil where nobody signs in
}

// seat is where a service listens.
type seat struct {
	service config.Service
	addr    string // as the configuration has it
}

// settings are what a server is made from. When they change, a new server takes over the same socket.
type settings struct {
	hostname          string
	maxMessage        int64
	plaintextLoopback bool
	limit
}

// limit is how many connections may be open at once, in all and from one address, over the services of one sort.
type limit struct {
	sort                    string
	connections, perAddress int
}

// webLimit bounds the web pages. It is not a setting, so that no setting can lock the household out of them.
var webLimit = limit{sort: "web", connections: 100, perAddress: 50}

// service is a server at its seat.
type service struct {
	seat
	settings
	listener *listen.Listener
	server   server
	ended    chan struct{} // closed when serve has returned
}

// serviceTable holds what is being served. Its owner is whoever holds Appliance.updating, but for status.
type serviceTable struct {
	open     bool // Run is under way
	running  map[seat]*service
	draining sync.WaitGroup           // replaced services that still end what they had begun
	limits   map[limit]*listen.Limits // each shared by the services that are to be counted together

	mu      sync.Mutex
	serving []control.Serving // what status shows
}

// plan says what the state wants served, and how.
func plan(s state) map[seat]settings {
	wanted := make(map[seat]settings)
	for _, svc := range config.Services() {
		for _, addr := range s.config.Listen.Addresses(svc) {
			switch {
			case isWeb(svc):
				// The web pages ask for what they need at each request, so that set-up never cuts off its own last page.
				wanted[seat{svc, addr}] = settings{limit: webLimit}
			case s.configured:
				wanted[seat{svc, addr}] = settings{
					hostname:          string(s.config.Hostname()),
					maxMessage:        s.config.Limits.MessageSize(),
					plaintextLoopback: s.config.Listen.PlaintextLoopback,
					limit:             limitOf(svc, s.config.Limits),
				}
			}
		}
	}
	return wanted
}

// limitOf is the share of a service in all connections. A quarter is for mail coming in, which is open to the whole world: strangers
// who take all of that keep nobody from their mailbox.
func limitOf(svc config.Service, l config.Limits) limit {
	sort, share := "intake", l.MaxConnections()/4
	if svc != config.SMTP {
		sort, share = "mail programs", l.MaxConnections()-share
	}
	return limit{sort: sort, connections: share, perAddress: min(l.MaxConnectionsPerAddress(), share)}
}

func isWeb(svc config.Service) bool { return svc == config.HTTP || svc == config.HTTPS }

// prepared is what swap brings about, and abandon undoes.
type prepared struct {
	fresh []*service // listening, and not yet served
	lent  []*service // running, but without their sockets: fresh ones could not be opened beside them
}

// prepare opens what is wanted and not yet served as wanted, without serving it. On an error everything is as it was.
func (t *serviceTable) prepare(wanted map[seat]settings, build func(seat, settings) server, log *slog.Logger) (p prepared, err error) {
	defer func() {
		if err != nil {
			t.abandon(p, build, log)
		}
	}()
	seats := slices.SortedFunc(maps.Keys(wanted), func(a, b seat) int { return strings.Compare(a.addr+string(a.service), b.addr+string(b.service)) })
	for _, at := range seats {
		present := t.running[at]
		if present != nil && present.settings == wanted[at] {
			continue
		}
		o := listen.Options{Limits: t.shared(wanted[at].limit), Refuse: refusal(at.service), Log: log}
		var l *listen.Listener
		if present != nil {
			l, err = present.listener.Again(o)
		} else {
			l, err = t.listen(at, o, wanted, &p)
		}
		if err != nil {
			return p, cannotListen(at.service, err)
		}
		p.fresh = append(p.fresh, &service{seat: at, settings: wanted[at], listener: l, server: build(at, wanted[at]), ended: make(chan struct{})})
	}
	return p, nil
}

// listen opens a seat. Where services that are not wanted any longer have the port, on every address say, or for another
// protocol, they lend it: new before old cannot be had there.
func (t *serviceTable) listen(at seat, o listen.Options, wanted map[seat]settings, p *prepared) (*listen.Listener, error) {
	l, err := listen.Open("tcp", at.addr, o)
	var busy *listen.Error
	if !errors.As(err, &busy) || busy.Reason != listen.InUse {
		return l, err
	}
	lenders := 0
	for other, svc := range t.running {
		_, port, _ := net.SplitHostPort(svc.listener.Addr().String())
		if _, still := wanted[other]; !still && port == strconv.Itoa(busy.Port) {
			svc.listener.Close()
			p.lent = append(p.lent, svc)
			lenders++
		}
	}
	if lenders == 0 {
		return nil, err
	}
	return listen.Open("tcp", at.addr, o)
}

// abandon closes what prepare has opened, and gives back what it has borrowed.
func (t *serviceTable) abandon(p prepared, build func(seat, settings) server, log *slog.Logger) {
	for _, svc := range p.fresh {
		svc.listener.Close()
	}
	for _, svc := range p.lent {
		if t.running[svc.seat] != svc { // lent twice
			continue
		}
		l, err := listen.Open("tcp", svc.listener.Addr().String(), listen.Options{Limits: t.shared(svc.limit), Refuse: refusal(svc.service), Log: log})
		if err != nil {
			log.Error("a port could not be taken back, and is served no longer", "service", svc.service, "addr", svc.addr, "err", err)
			delete(t.running, svc.seat)
		} else {
			again := &service{seat: svc.seat, settings: svc.settings, listener: l, server: build(svc.seat, svc.settings), ended: make(chan struct{})}
			t.running[svc.seat] = again
			again.start(log)
		}
		t.draining.Go(func() { svc.stop(log) })
	}
	t.publish()
}

// shared are the limits that all services with this limit count against together.
func (t *serviceTable) shared(l limit) *listen.Limits {
	if t.limits == nil {
		t.limits = make(map[limit]*listen.Limits)
	}
	if t.limits[l] == nil {
		t.limits[l] = listen.NewLimits(l.perAddress, l.connections)
	}
	return t.limits[l]
}

// cannotListen adds to what the system says of a port the option that changes it.
func cannotListen(svc config.Service, err error) error {
	return fmt.Errorf("%s: %w; %s and listen.port-offset (--port-offset) in %s choose another", svc, err, svc.Option(), config.FileName)
}

// swap starts the fresh services and drains, without waiting, those that they replace and those that are not wanted any more.
func (t *serviceTable) swap(wanted map[seat]settings, fresh []*service, log *slog.Logger) {
	if t.running == nil {
		t.running = make(map[seat]*service)
	}
	var retired []*service
	for at, svc := range t.running {
		if _, still := wanted[at]; !still {
			retired = append(retired, svc)
			delete(t.running, at)
		}
	}
	for _, svc := range fresh {
		if old := t.running[svc.seat]; old != nil {
			retired = append(retired, old)
		}
		t.running[svc.seat] = svc
		svc.start(log)
	}
	for _, svc := range retired {
		svc.listener.Close() // from here on, the new ones alone take connections
		t.draining.Go(func() { svc.stop(log) })
	}
	t.publish()
}

// stopAll drains every service and waits until nothing is left.
func (t *serviceTable) stopAll(log *slog.Logger) {
	for at, svc := range t.running {
		t.draining.Go(func() { svc.stop(log) })
		delete(t.running, at)
	}
	t.draining.Wait()
	t.publish()
}

// disconnect ends the sessions of a person.
func (t *serviceTable) disconnect(person string) {
	for _, svc := range t.running {
		if svc.server.disconnect != nil {
			svc.server.disconnect(person)
		}
	}
}

// publish renews what status shows.
func (t *serviceTable) publish() {
	serving := make([]control.Serving, 0, len(t.running))
	for _, svc := range t.running {
		serving = append(serving, control.Serving{Service: string(svc.service), Address: svc.listener.Addr().String()})
	}
	slices.SortFunc(serving, func(a, b control.Serving) int { return strings.Compare(a.Service+a.Address, b.Service+b.Address) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serving = serving
}

// status lists what is served now.
func (t *serviceTable) status() []control.Serving {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.serving
}

func (s *service) start(log *slog.Logger) {
	go func() {
		defer close(s.ended)
		if err := s.server.serve(s.listener); err != nil && !errors.Is(err, net.ErrClosed) {
			log.Error("a server ended", "service", s.service, "addr", s.addr, "err", err)
		}
	}()
}

// stop takes no new connections, waits for those there are as long as drainTime, ends the rest, and returns when nothing is left.
func (s *service) stop(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	s.listener.Close()
	if err := s.server.shutdown(ctx); err != nil {
		log.Warn("connections were cut", "service", s.service, "addr", s.addr, "err", err)
	}
	s.listener.CloseConns()
	<-s.ended
}

// refusal says, in the service's protocol, that there are too many connections. Those that begin with TLS get no words.
func refusal(svc config.Service) func(net.Conn) {
	var words string
	switch svc {
	case config.IMAP:
		words = "* BYE [UNAVAILABLE] too many connections, try again later\r\n"
	case config.SMTP, config.Submission:
		words = "421 4.7.0 too many connections, try again later\r\n"
	default:
		return nil
	}
	return func(c net.Conn) { io.WriteString(c, words) }
}
