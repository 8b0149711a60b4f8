package imapwire

// IsDone reports whether the line, with or without its line end, is the DONE that ends IDLE (RFC 9051, 6.3.13). Lower
// case and spaces behind it are taken, since some phones send them.
func IsDone(line []byte) bool {
	d := NewDecoder(line, DecoderOptions{})
	return d.acceptWord("DONE") && d.end() == nil
}
