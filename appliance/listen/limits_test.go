package listen

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// TestStrangersLeaveRoom: however many strangers there are, the household finds a place.
func TestStrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	l := NewLimits(4, 10)
	enter := func(address string) bool {
		return l.enter(source(&net.TCPAddr{IP: netip.MustParseAddr(address).AsSlice(), Port: 1000}))
	}
	for _, address := range []string{"198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:1::1"} {
		for range 2 {
			if !enter(address) {
				t.Fatalf("%s has no place", address)
			}
		}
	}
	if enter("203.0.113.9") {
		t.Error("strangers have taken a place that is not for them")
	}
	for _, address := range []string{"192.168.1.20", "fd00::20"} {
		if !enter(address) {
			t.Errorf("%s has no place", address)
		}
	}
	if enter("127.0.0.1") {
		t.Error("there are more places than in all")
	}
}

// TestRefusalsDoNotFillTheLog: many refused peers are one line.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := open1(t, "127.0.0.1:0", Options{Limits: NewLimits(0, 1), Log: slog.New(slog.NewTextHandler(&log, nil))})
	conns := accepting(t, l)
	dial(t, l)
	<-conns
	for range 20 {
		hear(t, dial(t, l)) // closed without a word
	}
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := strings.Count(log.String(), "too many connections"); n != 1 {
		t.Errorf("%d lines in the log: %s", n, log.String())
	}
}
