package imapd

import (
	"fmt"
	"io"
	"net"
	"testing"

	"letterbox/appliance/imapwire"
	"letterbox/store"
)

// offline returns a connection of ann's with INBOX selected whose output goes
// nowhere.
func (f *fixture) offline() *conn {
	f.t.Helper()
	client, server := net.Pipe()
	f.t.Cleanup(func() { client.Close(); server.Close() })
	c := newConn(f.server, loopback{server})
	c.out.dst = io.Discard
	account, err := f.store.Account("ann")
	if err != nil {
		f.t.Fatal(err)
	}
	c.account, c.state, c.person = account, authenticated, "ann"
	f.t.Cleanup(c.deselect)
	f.t.Cleanup(c.cancel)
	if err := c.do("SELECT", " INBOX"); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// do runs one command.
func (c *conn) do(name, args string) error {
	r := &request{tag: "a", name: name, args: c.decoder("a", []byte(args))}
	if err := c.run(r); err != nil {
		return err
	}
	if err := c.finish(r, nil); err != nil {
		return err
	}
	return c.flush()
}

// TestFetchAllocations: FETCH of what the index has allocates nothing for each
// message.
func TestFetchAllocations(t *testing.T) {
	f := newFixture(t, nil)
	const messages = 600
	f.fill(messages)
	c := f.offline()
	for _, items := range []string{
		"(UID FLAGS)",
		"(UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE)",
		"(UID ENVELOPE)",
		"(UID BODYSTRUCTURE)",
	} {
		t.Run(items, func(t *testing.T) {
			fetch := func(set string) func() {
				return func() {
					if err := c.do("UID FETCH", " "+set+" "+items); err != nil {
						t.Fatal(err)
					}
				}
			}
			one := testing.AllocsPerRun(20, fetch("1"))
			all := testing.AllocsPerRun(20, fetch("1:*"))
			// One batch more or less may cost something, a message may not.
			if perMessage := (all - one) / messages; perMessage > 0.05 {
				t.Errorf("%v allocations for one message, %v for %d: %.2f each", one, all, messages, perMessage)
			}
		})
	}
}

func TestSavedSpans(t *testing.T) {
	t.Parallel()
	v := &view{}
	for uid := range uint32(10) {
		v.uids = append(v.uids, store.UID(uid*2+2))
	}
	v.saved = append(v.saved, 2, 4, 5, 6, 12, 20)
	got := fmt.Sprint(v.savedSpans(nil))
	if want := fmt.Sprint([]imapwire.Span{{Lo: 0, Hi: 3}, {Lo: 5, Hi: 6}, {Lo: 9, Hi: 10}}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func BenchmarkSelect10k(b *testing.B) {
	f := newFixture(b, nil)
	f.fill(10000)
	c := f.offline()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.do("SELECT", " INBOX"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFetch10k(b *testing.B) {
	f := newFixture(b, nil)
	f.fill(10000)
	c := f.offline()
	for _, items := range []string{"(FLAGS)", "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)", "BODY.PEEK[]"} {
		b.Run(items, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.do("UID FETCH", " 1:* "+items); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

func BenchmarkSearch10k(b *testing.B) {
	f := newFixture(b, nil)
	f.fill(10000)
	c := f.offline()
	for _, key := range []string{"UNSEEN", "SUBJECT 9999", "BODY nothing"} {
		b.Run(key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.do("UID SEARCH", " "+key); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}
