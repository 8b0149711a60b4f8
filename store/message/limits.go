package message

// What the pass keeps of a message, whatever the message is. Passing a limit
// is never an error: the rest becomes one opaque leaf, or the text is cut.
const (
	maxDepth    = 100    // parts in parts
	maxParts    = 10_000 // parts of a message; as Dovecot
	maxBoundary = 200    // octets of a boundary that are compared (RFC 2046, 5.1.1 allows 70)
	linePrefix  = 256    // octets of a line looked at to say what the line is

	maxKeptBuffer = 4 << 10 // octets of buffer that a Parser keeps from one message to the next

	maxEnvelopeRaw = 64 << 10  // octets of the fields of one header kept for ENVELOPE
	maxEnvelope    = 96 << 10  // octets of a rendered ENVELOPE from which on no address is added
	maxRepeats     = 50        // fields of a header that may come again and add to the first
	maxFrom        = 8 << 10   // the same for From, Sender and Reply-To, which may stand three times
	maxMIMEField   = 8 << 10   // octets kept of one Content-* field
	maxParams      = 128       // parameters of a field; as Dovecot
	maxToken       = 64        // octets of a type, subtype or encoding
	maxText        = 256 << 10 // octets of rendered text of all parts, from which on details become NIL
)
