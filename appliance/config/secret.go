package config

import "log/slog"

const redacted = "[redacted]"

// Secret is a string that must not be seen. However it is printed, logged or encoded,
// only "[redacted]" comes out; Reveal gives the string itself.
type Secret string

// Reveal returns the secret itself, for the few places that use it.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, so that JSON, XML and the like
// show no secret either.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
