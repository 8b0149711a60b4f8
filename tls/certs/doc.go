// Package certs owns every certificate that Letterbox presents.
//
// There are two kinds: the household's own, signed by a certificate authority that belongs to the
// house and lives on this box; and a temporary, self-signed one for the minutes before set-up. Manager hands
// out one *tls.Config for every port; each handshake asks it anew, so that a new certificate is served to the
// next connection with no restart, and old connections go on.
//
// The household authority, all of it ECDSA P-256:
//
//   - The root, twenty years. It is made once, by the first Open, and never replaced silently: every phone in
//     the house has been told to trust it. It signs intermediates and nothing else.
//   - One intermediate, ten years, which may sign only for the household's names, home.arpa, local, lan,
//     localhost and private, loopback and link-local addresses (critical name constraints, RFC 5280, 4.2.1.10),
//     and only for servers. Should it be stolen, nobody's bank can be impersonated with it. A name outside
//     those needs a new intermediate, signed by the root; the root, and every phone's trust, stays.
//   - The leaf, for the names and addresses in use. It begins at most a year back and lasts at most 800 days
//     in all: phones with wrong clocks accept it, and so do clients that refuse longer ones. It is renewed when
//     two thirds of what lay before it have passed, and when this box turns out to be asked for at an address of
//     the house that the leaf lacks, as after the router has given it another one.
//
// Invariants:
//
//   - Each certificate lies with its key in one file (0600, in a folder of 0700), replaced whole and synced, so
//     that no crash leaves a certificate beside another one's key.
//   - A damaged root is an error that says what to do. A damaged intermediate or leaf is said in the log and
//     made again.
//   - A leaf outside its intermediate's constraints is never made.
//   - Nothing is written by handshakes, nor while nothing changes. An address makes one new leaf at most, and a few
//     addresses between two calls of Apply.
//   - A clock before the build date is not believed: certificates are then dated from the build date.
package certs
