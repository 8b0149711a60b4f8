package message

import (
	"errors"
	"strings"
)

// Encoding is a Content-Transfer-Encoding (RFC 2045, 6).
type Encoding uint8

const (
	Encoding7Bit Encoding = iota
	Encoding8Bit
	EncodingBinary
	EncodingQuotedPrintable
	EncodingBase64
	EncodingOther // anything that RFC 2045 does not define
)

// ErrUnknownEncoding is what reading a body gives whose encoding is
// EncodingOther: RFC 9051, 6.4.5 has NO [UNKNOWN-CTE] for it.
var ErrUnknownEncoding = errors.New("the content transfer encoding is unknown")

func (e Encoding) String() string {
	switch e {
	case Encoding7Bit:
		return "7bit"
	case Encoding8Bit:
		return "8bit"
	case EncodingBinary:
		return "binary"
	case EncodingQuotedPrintable:
		return "quoted-printable"
	case EncodingBase64:
		return "base64"
	}
	return "other"
}

// parseEncoding knows the encodings of RFC 2045 and the misspellings of the
// identity ones that are common.
func parseEncoding(token string) Encoding {
	switch strings.ToLower(token) {
	case "7bit", "7-bit", "7bits", "7-bits":
		return Encoding7Bit
	case "8bit", "8-bit", "8bits", "8-bits":
		return Encoding8Bit
	case "binary":
		return EncodingBinary
	case "quoted-printable":
		return EncodingQuotedPrintable
	case "base64":
		return EncodingBase64
	}
	return EncodingOther
}
