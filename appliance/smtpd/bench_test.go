package smtpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A void keeps nothing, so that only the way to the Mailroom is measured.
type void struct{}

func (*void) Write(b []byte) (int, error)                          { return len(b), nil }
func (*void) Close() error                                         { return nil }
func (*void) Room(string, int64) error                             { return nil }
func (*void) Receive() Incoming                                    { return &void{} }
func (*void) Deliver(context.Context, Incoming, []Recipient) error { return nil }

// BenchmarkReceive measures a message of 25 MB by DATA and by BDAT: the allocations stay those of a small one.
func BenchmarkReceive(b *testing.B) {
	message := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 25_000_000/78)
	for name, command := range map[string]string{
		"DATA": "DATA\r\n" + message + ".\r\n",
		"BDAT": fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message),
	} {
		b.Run(name, func(b *testing.B) {
			o := testOptions(nil, &lockedBuffer{})
			o.Mailroom, o.MaxSize, o.Log = &void{}, 0, nil
			s := NewIntake(o)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(l) }()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			if err := c.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 1000)
			answered := func(want string) {
				for !strings.Contains(string(buf), want) {
					n, err := c.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					clear(buf[n:])
				}
				clear(buf)
			}
			if _, err := io.WriteString(c, "HELO x\r\n"); err != nil {
				b.Fatal(err)
			}
			answered("greets")
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			all := []byte("MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\n" + command)
			for b.Loop() {
				if _, err := c.Write(all); err != nil {
					b.Fatal(err)
				}
				answered("delivered")
			}
			c.Close()
			if err := s.Shutdown(context.Background()); err != nil {
				b.Error(err)
			}
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
