package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"letterbox/appliance/config"
	"letterbox/appliance/imapd"
	"letterbox/appliance/smtpd"
)

// What a browser may do to us.
const (
	webHeaderTimeout = 10 * time.Second
	webReadTimeout   = 30 * time.Second
	webWriteTimeout  = time.Minute // from the end of the header: a slow form is still told what was wrong with it
	webIdleTimeout   = 2 * time.Minute
	webHeaderBytes   = 16 << 10
)

// build makes the server for a seat, which serves nothing yet.
func (a *Appliance) build(at seat, s settings) server {
	switch at.service {
	case config.IMAP, config.IMAPS:
		return a.buildIMAP(at, s)
	case config.HTTPS:
		return webServer(a.ui, a.webTLS(), a.log)
	case config.HTTP:
		return webServer(a.ui.RedirectHandler(a.publicHTTPS), nil, a.log)
	default:
		return a.buildSMTP(at, s)
	}
}

func (a *Appliance) buildIMAP(at seat, s settings) server {
	srv := imapd.New(imapd.Options{
		Store:               a.store,
		Auth:                a.accounts,
		TLS:                 a.certs.TLSConfig(),
		Log:                 a.log,
		AppendLimit:         s.maxMessage,
		PlaintextOnLoopback: s.plaintextLoopback,
		Version:             a.version,
	})
	serve := srv.Serve
	if at.service == config.IMAPS {
		serve = srv.ServeTLS
	}
	return server{serve: serve, shutdown: srv.Shutdown, disconnect: srv.Disconnect}
}

func (a *Appliance) buildSMTP(at seat, s settings) server {
	o := smtpd.Options{
		Hostname:            s.hostname,
		Directory:           directory{a.accounts},
		Mailroom:            mailroom{a.store},
		TLS:                 a.certs.TLSConfig(),
		MaxSize:             s.maxMessage,
		PlaintextOnLoopback: s.plaintextLoopback,
		Log:                 a.log,
		Now:                 a.now,
	}
	if at.service == config.SMTP {
		srv := smtpd.NewIntake(o)
		return server{serve: srv.Serve, shutdown: srv.Shutdown}
	}
	srv := smtpd.NewSubmission(o)
	serve := srv.Serve
	if at.service == config.Submissions {
		serve = srv.ServeTLS
	}
	return server{serve: serve, shutdown: srv.Shutdown, disconnect: srv.Disconnect}
}

func (a *Appliance) webTLS() *tls.Config {
	c := a.certs.TLSConfig()
	c.NextProtos = []string{"http/1.1"} // HTTP/2 is left out of the binary: 0.6 MB that a few small pages do not need
	return c
}

func (a *Appliance) publicHTTPS() int { return a.state.Load().config.Listen.PublicPort(config.HTTPS) }

// webServer serves pages, over TLS unless there is no c.
func webServer(h http.Handler, c *tls.Config, l *slog.Logger) server {
	srv := &http.Server{
		Handler:           h,
		TLSConfig:         c,
		ReadHeaderTimeout: webHeaderTimeout,
		ReadTimeout:       webReadTimeout,
		WriteTimeout:      webWriteTimeout,
		IdleTimeout:       webIdleTimeout,
		MaxHeaderBytes:    webHeaderBytes,
		ErrorLog:          slog.NewLogLogger(l.Handler(), slog.LevelDebug), // a browser that does not trust us yet is no event
	}
	serve := srv.Serve
	if c != nil {
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	return server{
		serve: func(l net.Listener) error {
			if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		shutdown: srv.Shutdown,
	}
}

// serveHTTP serves h on l until ctx ends, and lets what is under way finish for as long as drainTime.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: webHeaderTimeout, ErrorLog: log.New(io.Discard, "", 0)}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-stopped
		return nil
	}
	return err
}
