package imapwire

// What one command may hold, beyond the limit on its octets that the Collector keeps. Each is well above what
// mail programs send; passing one is a SyntaxError.
const (
	maxRanges        = 20000 // ranges of one set, after neighbours are joined
	maxFlags         = 500   // flags of one STORE or APPEND
	maxKeyword       = 255   // octets of one keyword
	maxFetchItems    = 200
	maxSectionParts  = 100 // numbers in 1.2.3...
	maxSectionFields = 500 // HEADER.FIELDS
	maxSearchKeys    = 2000
	maxSearchDepth   = 500
	maxPatterns      = 100
	maxPattern       = 1024 // octets of one LIST pattern
	maxStatusItems   = 50
	maxOptions       = 50  // parameters, modifiers, selection and return options
	maxIDParams      = 100 // RFC 2971, 3.3 allows 30; nobody is harmed by more
	maxCapabilities  = 100
	maxCommandName   = 32
)
