package message

// nilEnvelope is the ENVELOPE of a message without a header.
const nilEnvelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

// envelope renders the ENVELOPE of the header (RFC 9051, 7.5.2).
func (h *header) envelope() string {
	b := make([]byte, 0, 512)
	b = append(b, '(')
	b = appendNString(b, h.texts[fieldDate], h.seen[fieldDate])
	b = append(b, ' ')
	b = appendNString(b, h.texts[fieldSubject], h.seen[fieldSubject])

	from := string(appendAddresses(nil, h.texts[fieldFrom], maxFrom))
	b = append(b, ' ')
	b = append(b, from...)
	for _, f := range []field{fieldSender, fieldReplyTo} {
		b = append(b, ' ')
		mark := len(b)
		b = appendAddresses(b, h.texts[f], maxFrom)
		if string(b[mark:]) == "NIL" {
			b = append(b[:mark], from...) // RFC 9051, 7.5.2: the server must default these
		}
	}
	for _, f := range []field{fieldTo, fieldCc, fieldBcc} {
		b = append(b, ' ')
		b = appendAddresses(b, h.texts[f], max(0, maxEnvelope-len(b)))
	}
	b = append(b, ' ')
	b = appendNString(b, h.texts[fieldInReplyTo], h.seen[fieldInReplyTo])
	b = append(b, ' ')
	b = appendNString(b, h.texts[fieldMessageID], h.seen[fieldMessageID])
	return string(append(b, ')'))
}

// What stands for the half of an address that is not there: NIL would make it
// a group (RFC 9051, 7.5.2). These are Dovecot's words.
const (
	missingMailbox = "MISSING_MAILBOX"
	missingDomain  = "MISSING_DOMAIN"
)

// appendAddresses appends the list of addresses in a field, or NIL if there is
// none. It stops before the list is longer than limit.
func appendAddresses(dst []byte, raw string, limit int) []byte {
	start := len(dst)
	inGroup := false // a group was started that has not ended
	for a := range addresses(raw) {
		mark := len(dst)
		dst = append(dst, "(("[b2i(mark != start):]...)
		dst = a.append(dst)
		if len(dst)-start > limit {
			dst = dst[:mark]
			break
		}
		if a.group {
			inGroup = a.mailbox != ""
		}
	}
	if len(dst) == start {
		return append(dst, "NIL"...)
	}
	if inGroup {
		dst = append(dst, "(NIL NIL NIL NIL)"...)
	}
	return append(dst, ')')
}

// append appends an address structure.
func (a *address) append(dst []byte) []byte {
	dst = appendNString(dst, a.name, a.name != "")
	dst = append(dst, ' ')
	dst = appendNString(dst, a.route, a.route != "")
	dst = append(dst, ' ')
	if a.group {
		dst = appendNString(dst, a.mailbox, a.mailbox != "")
		return append(dst, " NIL)"...)
	}
	mailbox, domain := a.mailbox, a.domain
	if mailbox == "" {
		mailbox = missingMailbox
	}
	if domain == "" {
		domain = missingDomain
	}
	dst = appendString(dst, mailbox)
	dst = append(dst, ' ')
	dst = appendString(dst, domain)
	return append(dst, ')')
}
