package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"

	"letterbox/appliance"
	"letterbox/appliance/config"
)

// The household of the demo.
const (
	demoAddress   = "127.0.0.1"
	demoHousehold = "Demo household"
	demoDomain    = "demo.home.arpa"
	demoPerson    = "demo"
)

// demo serves a fresh household from a temporary folder on loopback ports until ctx ends, and deletes it again.
func demo(ctx context.Context, args []string, c console) error {
	f := newFlags("demo", c)
	offset := f.Int("port-offset", 10000, "`number` added to every standard port")
	if _, err := f.parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "letterbox-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer os.RemoveAll(dir)

	defaults := config.Default()
	defaults.Listen.Address = []string{demoAddress}
	defaults.Listen.PortOffset = *offset
	a, err := appliance.Open(dir, appliance.Options{Log: newLogger(c, slog.LevelWarn), Version: version, BuildDate: built(), Defaults: defaults})
	if err != nil {
		return err
	}
	password := strings.ToLower(rand.Text()[:12])
	founding := appliance.Founding{Household: demoHousehold, Domain: demoDomain, Person: demoPerson, FullName: "Demo", Password: password}
	if err := a.Found(ctx, founding); err != nil {
		return errors.Join(err, a.Close())
	}
	err = a.Run(ctx, func() { printDemo(ctx, a, dir, password, c) })
	return errors.Join(err, a.Close())
}

// printDemo tells how to reach the demo, a line each.
func printDemo(ctx context.Context, a *appliance.Appliance, dir, password string, c console) {
	info, err := a.SetupCode(ctx)
	if err != nil || len(info.URLs) == 0 {
		fmt.Fprintln(c.err, "letterbox: no set-up page:", err)
		return
	}
	cfg, _ := a.Config()
	mailURL := func(scheme string, svc config.Service, path string) string {
		u := url.URL{Scheme: scheme, User: url.UserPassword(demoPerson, password), Host: demoAddress + ":" + strconv.Itoa(cfg.Listen.PublicPort(svc)), Path: path}
		return u.String()
	}
	fmt.Fprintf(c.out, "Set-up page: %s  (code %s)\n", info.URLs[0], info.Code)
	fmt.Fprintf(c.out, "Certificate: SHA-256 %s\n", info.Fingerprint)
	fmt.Fprintf(c.out, "Read mail:   %s\n", mailURL("imaps", config.IMAPS, "/INBOX"))
	fmt.Fprintf(c.out, "Send mail:   %s\n", mailURL("smtps", config.Submissions, ""))
	fmt.Fprintf(c.out, "Data folder: %s\n", dir)
	fmt.Fprintf(c.out, "A welcome mail is waiting: curl --insecure '%s;MAILINDEX=1'\n", mailURL("imaps", config.IMAPS, "/INBOX"))
	fmt.Fprintln(c.out, "Ctrl-C stops it and deletes the data folder.")
}
