package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"letterbox/appliance"
	"letterbox/appliance/config"
)

// places are the flags that say where to listen as long as no configuration says it.
type places struct {
	listen *string
	offset *int
}

func (f flags) places() places {
	return places{
		listen: f.String("listen", "", "`address` to listen on until the configuration names another; empty: all"),
		offset: f.Int("port-offset", 0, "`number` added to every standard port until the configuration says another"),
	}
}

// config is what set-up starts from.
func (p places) config() (config.Config, error) {
	c := config.Default()
	if *p.listen != "" {
		c.Listen.Address = []string{*p.listen}
	}
	c.Listen.PortOffset = *p.offset
	var faults config.Faults
	errors.As(c.Validate(), &faults) // there are some: nobody lives here yet
	if reason := faults.For("listen.address[0]"); reason != "" {
		return c, usageError("--listen: " + reason)
	}
	if reason := faults.For("listen.port-offset"); reason != "" {
		return c, usageError("--port-offset: " + reason)
	}
	return c, nil
}

// gcPercent is how much garbage may gather beside what is in use. Half of Go's own: on the machines this runs on, memory is
// dearer than the few milliseconds that it costs.
const gcPercent = 50

func serve(ctx context.Context, args []string, c console) error {
	f := newDataFlags("serve", c)
	where := f.places()
	verbose := f.Bool("verbose", false, "log what each connection does")
	trace := f.Bool("trace", false, "log every line of IMAP that is said, without passwords; it shows what is in people's mail")
	if _, err := f.parse(args); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	if *trace {
		level = appliance.LevelTrace
	}
	defaults, err := where.config()
	if err != nil {
		return err
	}
	log := newLogger(c, level)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	hangup := make(chan os.Signal, 1) // before anything else: until then SIGHUP ends the program
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	a, err := appliance.Open(*f.data, appliance.Options{Log: log, Version: version, BuildDate: built(), Defaults: defaults})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	reloading.Go(func() { reloadOnHangup(ctx, a, hangup, log) })
	err = a.Run(ctx, func() { announce(ctx, a, c) })
	cancel()
	reloading.Wait()
	return errors.Join(err, a.Close())
}

// announce tells, on the console of a box that is not set up yet, where to set it up.
func announce(ctx context.Context, a *appliance.Appliance, c console) {
	if _, configured := a.Config(); configured {
		return
	}
	info, err := a.FirstCode(ctx)
	if err != nil {
		fmt.Fprintln(c.err, "letterbox:", err)
		return
	}
	fmt.Fprintln(c.out, "This letterbox is not set up yet.")
	printSetup(c.out, info)
}

// reloadOnHangup applies the configuration file anew at each hangup; a bad one is named in the log and changes nothing.
func reloadOnHangup(ctx context.Context, a *appliance.Appliance, hangup <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if err := a.Reload(ctx); err != nil {
				log.Error("the configuration was not taken over; the old one stays in force", "err", err)
			} else {
				log.Info("the configuration was read again")
			}
		}
	}
}

func newLogger(c console, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level}))
}
