package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"syscall"
)

// A Reason says why an address cannot be opened.
type Reason int

const (
	Other      Reason = iota // see Error.Err
	InUse                    // another program has the port
	Permission               // this program may not have the port
	NoAddress                // this machine does not have the address
	BadAddress               // this is no address and port
)

// firstOpenPort is the first port that every program may bind.
const firstOpenPort = 1024

// An Error is an address that cannot be opened. Its text is one sentence for the person who set up the machine; the
// caller, who knows its name, adds the option that changes the port.
type Error struct {
	Addr   string // as it was asked for
	Host   string // without port; empty for all addresses
	Port   int    // 0 when the address holds none
	Reason Reason
	Err    error // what the system said
}

// Error is the sentence.
func (e *Error) Error() string {
	on := ""
	if e.Host != "" {
		on = " on " + e.Host
	}
	switch e.Reason {
	case InUse:
		return fmt.Sprintf("port %d%s is in use by another program", e.Port, on)
	case Permission:
		if e.Port < firstOpenPort {
			return fmt.Sprintf("port %d%s cannot be opened: only root or a program with CAP_NET_BIND_SERVICE may bind ports below %d",
				e.Port, on, firstOpenPort)
		}
		return fmt.Sprintf("port %d%s cannot be opened: the system does not allow it to this program", e.Port, on)
	case NoAddress:
		return fmt.Sprintf("port %d cannot be opened: this machine does not have the address %s", e.Port, e.Host)
	case BadAddress:
		return fmt.Sprintf("%q is not an address and a port", e.Addr)
	}
	return fmt.Sprintf("port %d%s cannot be opened: %v", e.Port, on, e.Err)
}

// Unwrap gives what the system said.
func (e *Error) Unwrap() error { return e.Err }

func newError(network, addr string, err error) *Error {
	e := &Error{Addr: addr, Err: err}
	var dns *net.DNSError
	var bad *net.AddrError
	host, port, splitErr := net.SplitHostPort(addr)
	if splitErr == nil {
		e.Host = host
		e.Port, splitErr = net.LookupPort(network, port)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Reason = InUse
	case errors.Is(err, fs.ErrPermission):
		e.Reason = Permission
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Reason = NoAddress
	case splitErr != nil, errors.As(err, &bad), errors.As(err, &dns):
		e.Reason = BadAddress
	}
	if e.Port == 0 && e.Reason != BadAddress {
		if n, err := strconv.Atoi(port); err == nil {
			e.Port = n
		}
	}
	return e
}
