package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"slices"
	"testing"
)

func attachment(size int) []byte {
	var b bytes.Buffer
	b.WriteString("From: Ann <ann@example.org>\r\nTo: Ben <ben@example.org>\r\nSubject: a plan\r\nDate: Mon, 2 Nov 2026 09:30:00 +0100\r\n" +
		"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"frontier\"\r\n\r\n--frontier\r\n\r\nSee the plan.\r\n" +
		"--frontier\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, 57)) + "\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	b.WriteString("--frontier--\r\n")
	return b.Bytes()
}

func BenchmarkPass(b *testing.B) {
	for name, data := range map[string][]byte{"8KB": attachment(8 << 10), "25MB": attachment(25 << 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			p := NewParser()
			for b.Loop() {
				p.Reset()
				for rest := data; len(rest) > 0; {
					n := min(32<<10, len(rest))
					p.Write(rest[:n])
					rest = rest[n:]
				}
				p.Close()
			}
		})
	}
}

func BenchmarkCorpus(b *testing.B) {
	list := messages(b)
	size := 0
	for _, m := range list {
		size += len(m.Data)
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		p := NewParser()
		for _, m := range list {
			p.Reset()
			p.Write(m.Data)
			p.Close()
		}
	}
}

func BenchmarkAppendBodyStructure(b *testing.B) {
	s := parse(attachment(8 << 10))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = s.AppendBodyStructure(s.AppendEnvelope(buf[:0]))
	}
}

func BenchmarkDecode(b *testing.B) {
	buf := parse(attachment(8 << 10)).AppendBinary(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnvelopeFields(b *testing.B) {
	env := parse(attachment(8 << 10)).AppendEnvelope(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EnvelopeFields(env); err != nil {
			b.Fatal(err)
		}
	}
}

// letter is what a mail program sends: text, and the same as HTML.
func letter(size int) []byte {
	const sentence = "Tomorrow we meet at the harbour, and whoever is late brings the cake. "
	var text, html bytes.Buffer
	for text.Len() < size/3 {
		text.WriteString(sentence + "\r\n")
		html.WriteString("<p style=3D\"margin: 0\">" + sentence + "=C3=BC=\r\n</p>\r\n")
	}
	return slices.Concat([]byte("Received: from mail.example.org (mail.example.org [203.0.113.7])\r\n\tby mx.example.net (Postfix) with ESMTPS id 4D1F2\r\n"+
		"\tfor <ann@example.net>; Mon, 2 Nov 2026 09:30:01 +0000\r\nFrom: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: Ann <ann@example.net>\r\n"+
		"Subject: =?utf-8?b?R3LDvMOfZQ==?= from the harbour\r\nDate: Mon, 2 Nov 2026 09:30:00 +0100\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/alternative; boundary=\"frontier\"\r\n\r\n--frontier\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"),
		text.Bytes(), []byte("--frontier\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"),
		html.Bytes(), []byte("--frontier--\r\n"))
}

func BenchmarkWriteSearchText(b *testing.B) {
	for name, data := range map[string][]byte{"8KB": letter(8 << 10), "100KB": letter(100 << 10), "attachment": attachment(1 << 20)} {
		b.Run(name, func(b *testing.B) {
			s := parse(data)
			wire := bytes.NewReader(data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := WriteSearchText(io.Discard, wire, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
