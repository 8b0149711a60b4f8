package message

import (
	"bytes"
	"encoding/base64"
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
