// Package mailaddr reads and writes mail addresses: ann@example.org, jürg@bücher.example, "ann smith"@[192.0.2.1].
//
// An address is parsed once, where it enters the program, and is a comparable value from then on:
//
//   - A Domain is always in lower case and in A-label form, so that == compares domains.
//   - An Addr keeps its local part as it was written, without quotes; only Fold makes it fit for comparing.
//   - A string that an Addr or a Domain gives back parses to the same value again, and holds no control character,
//     so that it can be written into a command or a header line as it is.
//   - Letters that only look alike stay different: folding takes away case and the choice of normal form, never more.
package mailaddr
