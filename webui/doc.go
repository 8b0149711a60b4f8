// Package webui shows Letterbox in a browser: the set-up of a new box, and a page that says how to connect a
// mail program.
//
// Everything is rendered by the server from html/template, with one style sheet and no JavaScript, and no page
// asks for anything from anywhere else. All texts that a person reads stand in the templates and in texts.go.
//
// Invariants:
//
//   - Only near peers are served (loopback, private and link-local addresses, and nobody who came through a
//     proxy), and only by a Host that cannot be somebody else's name pointed at this box.
//   - The wizard wants a one-time code that only the box's owner can see: 128 random bits and more, good for an
//     hour and for ten tries.
//   - What was typed is kept on this side, in the set-up session: back and reload lose nothing. Passwords are
//     kept as their hash alone.
//   - Nothing is changed before the last page, whose button calls Appliance.Update once, however often it is
//     pressed.
package webui
