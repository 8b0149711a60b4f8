// Package control is the one control plane: /api/v1, JSON over a unix socket in the data
// directory, and the same handler in-process when no server runs.
//
// What holds always:
//
//   - Only the owner of the data directory and root are answered; the socket says who
//     asks (SO_PEERCRED), and nobody else can open it (0600).
//   - Every change is one Appliance.Update: checked whole, applied and saved, or nothing.
//   - Passwords travel in bodies, never in addresses; none is logged. Only hashes reach the
//     configuration.
package control

import (
	"context"
	"time"

	"letterbox/appliance/config"
)

// Appliance is what is controlled. Its methods may be called at once.
type Appliance interface {
	// Config returns the present configuration, a copy, and whether the household has
	// been set up at all.
	Config() (c config.Config, configured bool)
	// Update lets change edit a copy of the configuration, checks the result whole
	// (config.Faults), applies it and saves it. It is durable and in force when Update
	// returns nil; any error, change's own included, leaves everything as it was.
	// Updates happen one after another.
	Update(ctx context.Context, change func(*config.Config) error) error
	// SetupCode makes a new one-time code for the set-up page, in place of the last.
	SetupCode(ctx context.Context) (SetupInfo, error)
	// Status says how things stand.
	Status() Status

	Importer
	Checker
	Counter
	Undeleter
}

// SetupInfo is what somebody needs in order to open the set-up page and to trust it.
type SetupInfo struct {
	URLs            []string  `json:"urls"`
	Code            string    `json:"code"`
	Expires         time.Time `json:"expires"`
	Fingerprint     string    `json:"fingerprint"`                // SHA-256 of the certificate that the page presents
	RootFingerprint string    `json:"root_fingerprint,omitempty"` // SHA-256 of the household's root certificate
}

// Status is how things stand.
type Status struct {
	Version    string    `json:"version"`
	Configured bool      `json:"configured"`
	Started    time.Time `json:"started,omitzero"` // zero: no server runs
	Household  string    `json:"household,omitempty"`
	Hostname   string    `json:"hostname,omitempty"`
	People     int       `json:"people"`
	Serving    []Serving `json:"serving,omitempty"`
}

// Serving is one open listener.
type Serving struct {
	Service string `json:"service"` // config.Service
	Address string `json:"address"` // host:port that is bound
}

// Person is what the control plane tells of somebody.
type Person struct {
	Name       string   `json:"name"`
	FullName   string   `json:"full_name,omitempty"`
	Addresses  []string `json:"addresses"`
	Devices    int      `json:"devices"`
	Disabled   bool     `json:"disabled,omitempty"`
	NoPassword bool     `json:"no_password,omitempty"` // they cannot sign in before they are given one
	Used       *Usage   `json:"used,omitempty"`        // nil: it cannot be found out
	Quota      Quota    `json:"quota,omitzero"`        // what is in force
}

// NewPerson is somebody to add.
type NewPerson struct {
	Name     string `json:"name"`
	FullName string `json:"full_name,omitempty"`
	Password string `json:"password"`
}

// Device is what the control plane tells of a device password.
type Device struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created,omitzero"`
}

// SocketName is the name of the socket inside the data directory.
const SocketName = "control.sock"

// NewDevice is a device that has just been added, with its password, which is told this
// once and kept nowhere.
type NewDevice struct {
	Device
	Password string `json:"password"`
}
