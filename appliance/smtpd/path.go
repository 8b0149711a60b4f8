package smtpd

import (
	"errors"
	"strings"

	"letterbox/appliance/mailaddr"
)

// splitPath takes the path off an argument of MAIL or RCPT: what stands between the angle brackets, without a source route,
// and the parameters that follow. Angle brackets may be missing, as some devices leave them out.
func splitPath(arg string) (path, params string, err error) {
	arg = strings.TrimLeft(arg, " \t")
	inner, bracketed := strings.CutPrefix(arg, "<")
	end := pathEnd(inner, bracketed)
	if end < 0 {
		return "", "", errors.New("the address has no end")
	}
	path, params = inner[:end], inner[end:]
	if bracketed {
		params = params[1:]
	} else if path == "" {
		return "", "", errors.New("the address is missing")
	}
	if params != "" && params[0] != ' ' && params[0] != '\t' {
		return "", "", errors.New("something follows the address without a space")
	}
	if strings.HasPrefix(path, "@") {
		// RFC 5321, 4.1.1.3 and appendix C: source routes are accepted, and ignored.
		_, mailbox, ok := strings.Cut(path, ":")
		if !ok {
			return "", "", errors.New("the source route has no end")
		}
		path = mailbox
	}
	return path, params, nil
}

// pathEnd finds where the path ends, outside of quotes; -1 when it does not.
func pathEnd(s string, bracketed bool) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case bracketed && c == '>', !bracketed && (c == ' ' || c == '\t'):
			return i
		}
	}
	if quoted || bracketed {
		return -1
	}
	return len(s)
}

// parseReversePath reads the argument of MAIL after "FROM:".
func parseReversePath(arg string) (mailaddr.Addr, string, error) {
	path, params, err := splitPath(arg)
	if err != nil || path == "" {
		return mailaddr.Addr{}, params, err
	}
	a, err := mailaddr.ParseSender(path)
	return a, params, err
}

// parseForwardPath reads the argument of RCPT after "TO:".
func parseForwardPath(arg string) (mailaddr.Addr, string, error) {
	path, params, err := splitPath(arg)
	if err != nil {
		return mailaddr.Addr{}, "", err
	}
	if strings.EqualFold(path, "postmaster") { // RFC 5321, 4.5.1: without domain, in any case
		return mailaddr.Postmaster(), params, nil
	}
	a, err := mailaddr.Parse(path)
	return a, params, err
}
