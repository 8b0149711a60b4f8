package imapreader

import (
	"strconv"
	"strings"

	"letterbox/appliance/imapwire"
)

// A Folder is a folder of a server's.
type Folder struct {
	Wire       string   // its name as the server writes it
	Name       string   // in UTF-8
	Levels     []string // Name taken apart, without the prefix that all of a person's folders have
	Attributes []string // as the server writes them: \Sent
	Subscribed bool
	Shared     bool // it lies where other people's folders do
}

// Has reports whether the folder has an attribute.
func (f *Folder) Has(attribute string) bool {
	for _, a := range f.Attributes {
		if strings.EqualFold(a, attribute) {
			return true
		}
	}
	return false
}

// What is listed of folders.
const (
	maxFolders = 20_000
	maxNames   = 8 << 20 // octets of their names and attributes
	maxSpaces  = 100     // namespaces of a kind
)

// Folders lists the folders that can be opened. Where nothing is subscribed to, or the server does not say, all count as subscribed.
func (c *Conn) Folders() ([]Folder, error) {
	spaces, err := c.namespaces()
	if err != nil {
		return nil, err
	}
	var delimiters []string
	var list []Folder
	at := make(map[string]int)
	names := 0
	collect := func(f Folder, delimiter string) {
		for _, text := range append(f.Attributes, f.Wire, f.Name, delimiter) {
			names += len(text) + 16
		}
		if names > maxNames {
			c.s.tooMuch("folders whose names have more than %d octets", maxNames)
			return
		}
		if i, twice := at[f.Wire]; twice {
			list[i].Attributes = append(list[i].Attributes, f.Attributes...)
			return
		}
		at[f.Wire] = len(list)
		list, delimiters = append(list, f), append(delimiters, delimiter)
	}
	if err := c.list(`LIST "" "*"`, "LIST", collect); err != nil {
		return nil, err
	}
	if c.caps["SPECIAL-USE"] {
		if err := c.list(`LIST (SPECIAL-USE) "" "*"`, "LIST", collect); err != nil && !IsRefused(err) {
			return nil, err
		}
	}
	if err := c.markSubscribed(list, at); err != nil {
		return nil, err
	}
	spaces.guess(list, delimiters)
	kept := list[:0]
	for i, f := range list {
		f.Levels, f.Shared = spaces.place(f.Name, delimiters[i])
		if len(f.Levels) > 0 && !f.Has(`\Noselect`) && !f.Has(`\NonExistent`) {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

// list runs a command that lists folders, in responses with the word.
func (c *Conn) list(command, word string, collect func(f Folder, delimiter string)) error {
	n := 0
	return c.run(command, func(r response) bool {
		if r.word != word {
			return false
		}
		s := &c.s
		s.spaces()
		f := Folder{Attributes: s.list()}
		s.spaces()
		delimiter := s.text()
		s.spaces()
		f.Wire = s.text()
		s.skipLine() // extended data items, RFC 5258
		if f.Wire == "" || s.err != nil {
			return true
		}
		if n++; n > maxFolders {
			s.tooMuch("more than %d folders", maxFolders)
			return true
		}
		var err error
		if f.Name, err = imapwire.DecodeMailbox(f.Wire); err != nil {
			f.Name = strings.ToValidUTF8(f.Wire, "?")
		}
		if strings.EqualFold(f.Name, "INBOX") {
			f.Name = "INBOX"
		}
		collect(f, delimiter)
		return true
	})
}

// markSubscribed finds out which folders are subscribed to.
func (c *Conn) markSubscribed(list []Folder, at map[string]int) error {
	any := false
	mark := func(f Folder, _ string) {
		if i, ok := at[f.Wire]; ok && !f.Has(`\Noselect`) {
			list[i].Subscribed, any = true, true
		}
	}
	err := c.list(`LSUB "" "*"`, "LSUB", mark)
	if IsRefused(err) { // RFC 9051, appendix F: gone from IMAP4rev2
		err = c.list(`LIST (SUBSCRIBED) "" "*"`, "LIST", mark)
	}
	if err != nil && !IsRefused(err) {
		return err
	}
	for i := range list {
		list[i].Subscribed = list[i].Subscribed || !any
	}
	return nil
}

// namespaces are the beginnings of names that say whose a folder is (RFC 2342).
type namespaces struct {
	personal, others []string
	told             bool
}

func (c *Conn) namespaces() (n namespaces, err error) {
	if n.told, err = c.can("NAMESPACE"); err != nil || !n.told {
		return n, err
	}
	err = c.run("NAMESPACE", func(r response) bool {
		if r.word != "NAMESPACE" {
			return false
		}
		c.s.spaces()
		n.personal = c.namespace()
		n.others = append(c.namespace(), c.namespace()...)
		c.s.skipLine()
		return true
	})
	if IsRefused(err) {
		return namespaces{}, nil
	}
	return n, err
}

// namespace reads one of the three groups of NAMESPACE: prefixes, each with its delimiter.
func (c *Conn) namespace() (prefixes []string) {
	s := &c.s
	s.spaces()
	if s.peek() != '(' {
		s.text() // NIL
		return nil
	}
	s.expect('(')
	for s.spaces(); s.err == nil && !s.accept(')'); s.spaces() {
		s.expect('(')
		wire := s.text()
		for s.spaces(); s.err == nil && !s.accept(')'); s.spaces() {
			if c := s.peek(); c == '\r' || c == '\n' {
				s.nonsense("the end of a namespace")
			}
			s.skip(0)
		}
		name, err := imapwire.DecodeMailbox(wire)
		if err != nil {
			name = wire
		}
		if len(prefixes) < maxSpaces && len(name) <= maxListOctets {
			prefixes = append(prefixes, name)
		}
	}
	return prefixes
}

// guess finds the prefix of a server that does not tell: everything lies below INBOX.
func (n *namespaces) guess(list []Folder, delimiters []string) {
	if n.told || len(list) < 2 {
		return
	}
	prefix := ""
	for i, f := range list {
		if f.Name == "INBOX" {
			continue
		}
		prefix = "INBOX" + delimiters[i]
		if delimiters[i] == "" || !hasPrefixFold(f.Name, prefix) {
			return
		}
	}
	n.personal = []string{prefix}
}

// place takes a name apart.
func (n *namespaces) place(name, delimiter string) (levels []string, shared bool) {
	for _, prefix := range n.others {
		if prefix != "" && hasPrefixFold(name, prefix) {
			return split(name, delimiter), true
		}
	}
	for _, prefix := range n.personal {
		if len(prefix) < len(name) && hasPrefixFold(name, prefix) {
			name = name[len(prefix):]
			break
		}
	}
	return split(name, delimiter), false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// split takes a name apart; what is no level is left out.
func split(name, delimiter string) (levels []string) {
	if delimiter == "" {
		return []string{name}
	}
	for level := range strings.SplitSeq(name, delimiter) {
		if level != "" {
			levels = append(levels, level)
		}
	}
	return levels
}

// Unknown is a number that the server does not tell.
const Unknown = -1

// Status tells how many messages a folder has, and how many octets, as far as the server knows without opening it.
func (c *Conn) Status(wire string) (messages, size int64, err error) {
	messages, size = Unknown, Unknown
	items := "(MESSAGES)"
	if ok, err := c.can("STATUS=SIZE"); err != nil { // RFC 8438
		return messages, size, err
	} else if ok {
		items = "(MESSAGES SIZE)"
	}
	err = c.runTail(func(r response) bool {
		if r.word != "STATUS" {
			return false
		}
		s := &c.s
		s.spaces()
		s.text() // the name
		s.spaces()
		s.expect('(')
		for s.spaces(); s.err == nil && !s.accept(')'); s.spaces() {
			item := strings.ToUpper(s.word("()"))
			s.spaces()
			n, err := strconv.ParseInt(s.word("()"), 10, 64)
			if err != nil || n < 0 {
				n = Unknown
			}
			switch item {
			case "MESSAGES":
				messages = n
			case "SIZE":
				size = n
			case "":
				s.nonsense("an item of STATUS")
			}
		}
		s.skipLine()
		return true
	}, "STATUS", wire, items)
	return messages, size, err
}

// runTail is runWith for a command with words behind its string.
func (c *Conn) runTail(data func(response) bool, command, arg, tail string) error {
	if quotable(arg) {
		return c.run(command+" "+quote(arg)+" "+tail, data)
	}
	if err := c.wait(c.newTag()+" "+command+" {"+strconv.Itoa(len(arg))+"}\r\n", data); err != nil {
		return err
	}
	if err := c.write(arg + " " + tail + "\r\n"); err != nil {
		return err
	}
	return c.finish(data)
}

// Examine opens a folder for reading, and tells its UIDVALIDITY, 0 if the server does not say, and how many messages it has.
func (c *Conn) Examine(wire string) (validity uint32, messages uint32, err error) {
	err = c.runWith(func(r response) bool {
		switch {
		case r.code == "UIDVALIDITY":
			n, err := strconv.ParseUint(strings.TrimSpace(r.arg), 10, 32)
			if err == nil {
				validity = uint32(n)
			}
		case r.word == "EXISTS":
			messages = uint32(r.number)
		}
		return false
	}, "EXAMINE", wire)
	return validity, messages, err
}
