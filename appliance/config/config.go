// Package config is the configuration of a Letterbox as one value: loaded strictly,
// checked whole, changed as a copy, and saved as a file that people can read.
//
// What holds always:
//
//   - Load refuses what it does not know (keys, types, values out of range) and names
//     every fault at once, each with its line.
//   - Validate knows every rule there is; Load calls it, and so does whoever changes a
//     Config before applying it. A Config that Validate accepts can be saved, and
//     Load returns the same Config again.
//   - A zero value is the good default. What has a default is written to the file only
//     when it differs.
//   - Secrets have a type of their own, Secret, which no log line and no %v shows.
//
// A Config is a plain value without locks. Its slices are shared by assignment: use
// Clone before changing one that somebody else may read.
package config

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"letterbox/appliance/mailaddr"
)

// Version is the version of the file format that this program writes.
const Version = 1

// FileName is the name of the configuration inside the data directory.
const FileName = "letterbox.toml"

// Config is the whole configuration of one household.
type Config struct {
	Version   int // of the file format: always [Version]
	Household Household
	Domains   []Domain // the first is the main one
	People    []Person // the first one also receives mail for postmaster and abuse
	Aliases   []Alias
	Listen    Listen
	Limits    Limits
	DeviceKey Secret // 32 random bytes in hex, the key of every Device.Hash; see NewDeviceKey
}

// Household says whose letterbox this is.
type Household struct {
	Name     string          // for people to read: "The Millers"; may be empty
	Hostname mailaddr.Domain // the name of this server; empty: see Config.Hostname
}

// Domain is one mail domain of the household.
type Domain struct {
	Name     mailaddr.Domain
	CatchAll string // the person who gets mail for unknown names; empty: such mail is refused
}

// Person is somebody with a mailbox here.
type Person struct {
	Name     string // to sign in, and the local part of the main addresses; see CheckPersonName
	FullName string
	Password Secret // argon2id in PHC form (Argon2id), a hash of another server's (Foreign), or NoPassword
	Devices  []Device
	Disabled bool  // mail is still received, but nobody can sign in or send
	Quota    Quota // see Config.Quota
}

// Device is a password of its own for one mail program of a person.
type Device struct {
	Name    string // unique for the person: "Ann's phone"
	Created time.Time
	Hash    Secret // keyed hash of the password, 32 bytes in hex
}

// Alias is a further address, delivered to one or more people.
type Alias struct {
	Address mailaddr.Addr
	To      []string // names of people
}

// Listen says where the servers listen.
type Listen struct {
	Address           []string // IP addresses to listen on; empty: all
	PortOffset        int      // added to every standard listening port
	IMAP              Port     // 143, STARTTLS
	IMAPS             Port     // 993, TLS
	SMTP              Port     // 25, mail coming in
	Submissions       Port     // 465, mail going out, TLS
	Submission        Port     // 587, mail going out, STARTTLS
	HTTP              Port     // 80
	HTTPS             Port     // 443
	PlaintextLoopback bool     // allow signing in without TLS, on the loopback interface only
}

// Limits bound what one box has to bear.
type Limits struct {
	MaxMessage            Size // the largest message taken in; 0: 50 MiB
	Connections           int  // at once, over all mail services; the web pages have places of their own; 0: 500
	ConnectionsPerAddress int  // at once from one address (IPv6: one /64); 0: 100
	Quota                 Quota
	FreeSpace             FreeSpace
}

// What zero means in Limits.
const (
	defaultMaxMessage            = 50 * MiB
	defaultConnections           = 500
	defaultConnectionsPerAddress = 100
)

// MessageSize is the largest message taken in, in octets.
func (l Limits) MessageSize() int64 {
	if l.MaxMessage == 0 {
		return int64(defaultMaxMessage)
	}
	return int64(l.MaxMessage)
}

// MaxConnections is how many connections the mail services have at once.
func (l Limits) MaxConnections() int {
	if l.Connections == 0 {
		return defaultConnections
	}
	return l.Connections
}

// MaxConnectionsPerAddress is how many connections one address may hold at once.
func (l Limits) MaxConnectionsPerAddress() int {
	if l.ConnectionsPerAddress == 0 {
		return min(defaultConnectionsPerAddress, l.MaxConnections())
	}
	return l.ConnectionsPerAddress
}

// Default is the configuration to start from: all defaults, nobody in it yet.
// Validate refuses it until it has a domain and a person.
func Default() Config { return Config{Version: Version} }

// Hostname is the name by which this server is known: the one given, else "mail."
// and the main domain. It is empty only while there is no domain.
func (c Config) Hostname() mailaddr.Domain {
	if c.Household.Hostname != "" || len(c.Domains) == 0 {
		return c.Household.Hostname
	}
	return "mail." + c.Domains[0].Name
}

// MainDomain is the first domain, or empty while there is none.
func (c Config) MainDomain() mailaddr.Domain {
	if len(c.Domains) == 0 {
		return ""
	}
	return c.Domains[0].Name
}

// Person returns the index in People of the person with this name, whatever its case.
func (c Config) Person(name string) (index int, ok bool) {
	name = FoldName(name)
	index = slices.IndexFunc(c.People, func(p Person) bool { return p.Name == name })
	return index, index >= 0
}

// Clone returns a copy that shares nothing with c.
func (c Config) Clone() Config {
	c.Domains = slices.Clone(c.Domains)
	c.People = slices.Clone(c.People)
	for i := range c.People {
		c.People[i].Devices = slices.Clone(c.People[i].Devices)
	}
	c.Aliases = slices.Clone(c.Aliases)
	for i := range c.Aliases {
		c.Aliases[i].To = slices.Clone(c.Aliases[i].To)
	}
	c.Listen.Address = slices.Clone(c.Listen.Address)
	return c
}

// NewDeviceKey makes the key that device passwords are hashed with. A household needs
// one before its first device, and keeps it: a new one makes every device unknown.
func NewDeviceKey() (Secret, error) {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", fmt.Errorf("make a device key: %w", err)
	}
	return Secret(hex.EncodeToString(key[:])), nil
}

// FoldName is the one form of a person's name: without space around it, in lower case.
func FoldName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
