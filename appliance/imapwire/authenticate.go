package imapwire

import "encoding/base64"

// AuthenticateArgs are the arguments of AUTHENTICATE (RFC 9051, 6.2.2).
type AuthenticateArgs struct {
	Mechanism  string // upper case
	HasInitial bool   // an initial response was given (RFC 4959)
	Initial    []byte // decoded; empty for "="
}

// ParseAuthenticate reads the arguments of AUTHENTICATE.
func ParseAuthenticate(d *Decoder) (AuthenticateArgs, error) {
	var a AuthenticateArgs
	d.secret = true
	d.space("a mechanism")
	a.Mechanism = upper([]byte(d.atom("a mechanism")))
	if d.more() {
		a.HasInitial = true
		a.Initial = d.initialResponse()
	}
	return a, d.end()
}

// initialResponse reads base64, or "=" for an empty response (RFC 4959, 3).
func (d *Decoder) initialResponse() []byte {
	b := d.while("the initial response", isAtomChar)
	if string(b) == "=" {
		return nil
	}
	return d.base64("the initial response", b)
}

// base64 decodes b. The error does not repeat it: it may hold a password.
func (d *Decoder) base64(what string, b []byte) []byte {
	raw, err := base64.StdEncoding.AppendDecode(nil, b)
	if err != nil {
		d.fail("%s is not valid base64", what)
		return nil
	}
	return raw
}

// ParseSASLResponse reads the line, with or without its line end, that a client sends after "+ " during AUTHENTICATE;
// "*" cancels the exchange.
func ParseSASLResponse(line []byte) (response []byte, cancelled bool, err error) {
	b := trimLineEnd(line)
	if string(b) == "*" {
		return nil, true, nil
	}
	d := NewDecoder(nil, DecoderOptions{})
	response = d.base64("the response", b)
	return response, false, d.err
}
