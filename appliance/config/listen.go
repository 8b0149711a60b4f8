package config

import (
	"net"
	"strconv"
)

// Port is where one service listens, and where others find it. They differ where a
// package may not bind below 1024 and a router forwards.
type Port struct {
	Listen int  // 0: the standard port plus Listen.PortOffset; AnyPort: any free one
	Public int  // the port that clients are told; 0: the listening port
	Off    bool // the service is not offered
}

// AnyPort as Port.Listen lets the system choose a free port, for trying things out.
const AnyPort = -1

// Service is a server with a port of its own.
type Service string

// The services, named as in the file.
const (
	IMAP        Service = "imap"
	IMAPS       Service = "imaps"
	SMTP        Service = "smtp"
	Submissions Service = "submissions"
	Submission  Service = "submission"
	HTTP        Service = "http"
	HTTPS       Service = "https"
)

// Services lists every service, in the order of the file.
func Services() []Service {
	return []Service{IMAP, IMAPS, SMTP, Submissions, Submission, HTTP, HTTPS}
}

// StandardPort is the port that the world knows the service by.
func (s Service) StandardPort() int {
	switch s {
	case IMAP:
		return 143
	case IMAPS:
		return 993
	case SMTP:
		return 25
	case Submissions:
		return 465
	case Submission:
		return 587
	case HTTP:
		return 80
	case HTTPS:
		return 443
	}
	return 0
}

// Port returns the service's entry, for reading and for changing; nil for no service.
func (l *Listen) Port(s Service) *Port {
	switch s {
	case IMAP:
		return &l.IMAP
	case IMAPS:
		return &l.IMAPS
	case SMTP:
		return &l.SMTP
	case Submissions:
		return &l.Submissions
	case Submission:
		return &l.Submission
	case HTTP:
		return &l.HTTP
	case HTTPS:
		return &l.HTTPS
	}
	return nil
}

// On says whether the service is offered.
func (l Listen) On(s Service) bool {
	p := l.Port(s)
	return p != nil && !p.Off
}

// listenPort is the port to bind for the service; 0 lets the system choose (AnyPort).
func (l Listen) listenPort(s Service) int {
	switch p := l.Port(s); {
	case p == nil, p.Listen == AnyPort:
		return 0
	case p.Listen != 0:
		return p.Listen
	default:
		return s.StandardPort() + l.PortOffset
	}
}

// PublicPort is the port that clients use for the service; 0 if it is the one that the
// system chose (AnyPort).
func (l Listen) PublicPort(s Service) int {
	if p := l.Port(s); p != nil && p.Public != 0 {
		return p.Public
	}
	return l.listenPort(s)
}

// Addresses are the addresses to bind for the service, as net.Listen takes them for
// "tcp": ":993", or one for each address given. None if the service is off.
func (l Listen) Addresses(s Service) []string {
	if !l.On(s) {
		return nil
	}
	port := strconv.Itoa(l.listenPort(s))
	if len(l.Address) == 0 {
		return []string{":" + port}
	}
	var list []string
	for _, a := range l.Address {
		list = append(list, net.JoinHostPort(a, port))
	}
	return list
}

// Option is the name of the setting that moves the service to another port, for
// messages: "listen.imaps.port".
func (s Service) Option() string { return "listen." + string(s) + ".port" }
