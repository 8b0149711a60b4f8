package smtpd

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"letterbox/appliance/mailaddr"
)

// screen looks at a command before go-smtp does. It gives the line that go-smtp is to see, or answers itself and gives nil.
func (s *session) screen(line []byte) []byte {
	text := strings.TrimRight(string(line), " \t\r\n")
	verb, arg, _ := strings.Cut(text, " ")
	verb, arg = strings.ToUpper(verb), strings.TrimLeft(arg, " \t")
	switch verb {
	case "EHLO", "HELO":
		return s.screenHello(verb, arg)
	case "MAIL":
		return s.screenMail(arg)
	case "RCPT":
		return s.screenRcpt(arg)
	case "DATA":
		return s.screenData(arg)
	case "BDAT":
		return s.screenBdat(arg)
	case "AUTH":
		return s.screenAuth(arg)
	case "STARTTLS":
		s.startTLS(arg)
	case "RSET", "QUIT":
		if arg == "" {
			return command(verb)
		}
		s.wire.bad("501 5.5.4 " + verb + " takes no argument") // RFC 5321, 4.1.1.5 and 4.1.1.10
	case "NOOP":
		s.wire.reply("250 2.0.0 OK")
	case "VRFY": // RFC 5321, 7.3: who has a mailbox here is nobody's business
		s.wire.reply("252 2.5.0 addresses are not looked up, but mail for them is tried")
	case "HELP":
		s.wire.reply("214 2.0.0 this is a letterbox; it speaks SMTP as RFC 5321 describes it")
	case "EXPN":
		s.wire.reply("502 5.5.1 lists are not shown")
	default:
		s.wire.bad("500 5.5.1 command not known")
	}
	return nil
}

func command(words ...string) []byte { return []byte(strings.Join(words, " ") + "\r\n") }

func (s *session) screenHello(verb, arg string) []byte {
	name, _, _ := strings.Cut(arg, " ")
	if name == "" || len(name) > maxHelo {
		s.wire.bad("501 5.5.4 " + verb + " needs the name of your host")
		return nil
	}
	s.helo, s.extended = name, verb == "EHLO"
	s.wire.hello = true
	return command(verb, name)
}

// screenMail checks the order, the sender's form and the parameters.
func (s *session) screenMail(arg string) []byte {
	rest, ok := cutPrefixFold(arg, "FROM:")
	switch {
	case s.helo == "":
		s.wire.outOfOrder("503 5.5.1 say EHLO first")
	case s.server.submission && s.person == "" && !s.peer.maySignIn():
		s.wire.outOfOrder("530 5.7.0 start TLS and sign in first") // RFC 4954, 6 and RFC 3207, 4
	case s.server.submission && s.person == "":
		s.wire.outOfOrder("530 5.7.0 sign in first")
	case s.tx != nil: // RFC 5321, 3.3: no nested MAIL
		s.wire.outOfOrder("503 5.5.1 a message has been begun, finish it or say RSET")
	case !ok:
		s.wire.bad("501 5.5.4 write MAIL FROM:<address>")
	default:
		from, params, err := parseReversePath(rest)
		if err != nil {
			s.wire.bad("501 5.1.7 " + err.Error())
			return nil
		}
		if !s.knownParams(params, "SIZE", "BODY", "SMTPUTF8", "AUTH") || !s.sizeFits(params) {
			return nil
		}
		s.addr = from
		return command("MAIL FROM:<"+from.String()+">", strings.TrimSpace(params))
	}
	return nil
}

// screenRcpt checks the order, the recipient's form and the parameters.
func (s *session) screenRcpt(arg string) []byte {
	rest, ok := cutPrefixFold(arg, "TO:")
	t := s.tx
	switch {
	case t == nil:
		s.wire.outOfOrder("503 5.5.1 say MAIL first")
	case s.chunking():
		s.wire.outOfOrder("503 5.5.1 the message has been begun")
	case !ok:
		s.wire.bad("501 5.5.4 write RCPT TO:<address>")
	default:
		to, params, err := parseForwardPath(rest)
		if err != nil {
			s.badRecipient("501 5.1.3 " + err.Error())
			return nil
		}
		if !s.knownParams(params) {
			return nil
		}
		s.addr = to
		shown := to.String()
		if to == mailaddr.Postmaster() { // go-smtp wants a domain
			shown += "@" + s.server.options.Hostname
		}
		return command("RCPT TO:<" + shown + ">")
	}
	return nil
}

// knownParams tells whether all parameters have one of the names, and answers when not.
func (s *session) knownParams(params string, names ...string) bool {
next:
	for _, p := range strings.Fields(params) {
		name, _, _ := strings.Cut(p, "=")
		for _, n := range names {
			if strings.EqualFold(n, name) {
				continue next
			}
		}
		s.wire.bad("555 5.5.4 parameter not known") // RFC 5321, 4.1.1.11
		return false
	}
	return true
}

// sizeFits answers for sizes that go-smtp cannot read, since they are past its 32 bits.
func (s *session) sizeFits(params string) bool {
	for _, p := range strings.Fields(params) {
		digits, ok := cutPrefixFold(p, "SIZE=")
		if !ok {
			continue
		}
		// RFC 1870, 6.1: up to 20 digits.
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil && n > uint64(s.server.options.MaxSize) {
			s.wire.reply("552 5.3.4 " + tooLarge(s.server.options.MaxSize))
			return false
		}
	}
	return true
}

func (s *session) screenData(arg string) []byte {
	t := s.tx
	switch {
	case arg != "":
		s.wire.bad("501 5.5.4 DATA takes no argument")
	case t == nil:
		s.wire.outOfOrder("503 5.5.1 say MAIL and RCPT first")
	case s.chunking(): // RFC 3030, 2
		s.wire.outOfOrder("503 5.5.1 a message begun with BDAT goes on with BDAT")
	case len(t.to) == 0:
		s.wire.outOfOrder("503 5.5.1 no recipient was accepted")
	default:
		return command("DATA")
	}
	return nil
}

// screenBdat checks the order and that the chunk's size is known, since the chunk follows whatever the answer is.
func (s *session) screenBdat(arg string) []byte {
	fields := strings.Fields(arg)
	if len(fields) == 0 {
		s.bdatUnclear("501 5.5.4 BDAT needs a size")
		return nil
	}
	size, err := strconv.ParseUint(fields[0], 10, 63)
	last := len(fields) == 2 && strings.EqualFold(fields[1], "LAST")
	switch {
	case err != nil:
		s.bdatUnclear("501 5.5.4 the size of BDAT is not a number")
		return nil
	case size > math.MaxUint32: // whoever announces that much is not waited for
		s.wire.reply("552 5.3.4 " + tooLarge(s.server.options.MaxSize))
		s.wire.end()
		return nil
	}
	t := s.tx
	answer := ""
	switch {
	case len(fields) > 1 && !last:
		answer = "501 5.5.4 write BDAT size, or BDAT size LAST"
	case t == nil: // as after a chunk that was refused
		answer = "503 5.5.1 say MAIL and RCPT first"
	case len(t.to) == 0:
		answer = "503 5.5.1 no recipient was accepted"
	}
	if answer != "" {
		// RFC 3030, 2: the octets of a refused chunk are read and forgotten.
		if s.wire.drop(int64(size)) {
			s.wire.outOfOrder(answer)
		}
		return nil
	}
	return s.bdat(int64(size), last)
}

// bdatUnclear ends the connection, since nobody can tell where the chunk ends and commands go on.
func (s *session) bdatUnclear(answer string) {
	s.wire.reply(answer)
	s.wire.goodbye("421 4.7.0 %s cannot tell where the chunk ends", s.server.options.Hostname)
}

func (s *session) screenAuth(arg string) []byte {
	fields := strings.Fields(arg)
	switch {
	case s.helo == "":
		s.wire.outOfOrder("503 5.5.1 say EHLO first")
	case !s.server.submission:
		s.wire.outOfOrder("503 5.5.1 nobody signs in on this port: mail programs use port 465 (TLS) or 587 (STARTTLS)")
	case s.person != "":
		s.wire.outOfOrder("503 5.5.1 you have signed in already") // RFC 4954, 4
	case s.tx != nil:
		s.wire.outOfOrder("503 5.5.1 not while a message is sent") // RFC 4954, 4
	case !s.peer.maySignIn():
		s.wire.outOfOrder("538 5.7.11 start TLS first")
	case len(fields) == 0 || len(fields) > 2:
		s.wire.bad("501 5.5.4 write AUTH PLAIN or AUTH LOGIN")
	case !isMechanism(fields[0]):
		s.wire.bad("504 5.5.4 use PLAIN or LOGIN")
	case len(fields) == 2 && !isInitialResponse(fields[1]):
		s.wire.bad("501 5.5.2 this is not base64")
	default:
		return command("AUTH", arg)
	}
	return nil
}

func isInitialResponse(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil || s == "=" // RFC 4954, 4: empty
}

// startTLS answers STARTTLS (RFC 3207) and ends this phase of the connection when TLS has begun.
func (s *session) startTLS(arg string) {
	config := s.server.options.TLS
	switch {
	case arg != "":
		s.wire.bad("501 5.5.4 STARTTLS takes no argument")
	case s.peer.tls != nil:
		s.wire.outOfOrder("503 5.5.1 this is TLS already")
	case config == nil:
		s.wire.bad("502 5.5.1 there is no TLS here")
	case s.wire.buffered():
		// What came along in plaintext may be somebody else's and must not be run as if it were protected.
		s.wire.reply("501 5.5.1 nothing may follow STARTTLS before its answer")
		s.wire.end()
	default:
		s.wire.reply("220 2.0.0 go ahead with TLS")
		s.wire.end()
		s.wire.upgraded = s.peer.flush() == nil && s.peer.startTLS(config) == nil
	}
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}
