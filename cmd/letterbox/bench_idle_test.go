//go:build bench

package main

import (
	"fmt"
	"testing"
	"time"
)

const idleClients = 20

// benchIdle measures what is written while nothing happens.
func benchIdle(t *testing.T) {
	if *idleFor == 0 {
		t.Skip("-idle 0: nobody wants to wait")
	}
	heading("Doing nothing", fmt.Sprintf(`%d clients with INBOX open in IDLE over TLS, who have just been told of a message. From then on, for %v: write_bytes less
cancelled_write_bytes of /proc/PID/io, and the processor time of /proc/PID/stat.`, idleClients, *idleFor))
	h := newHouse(t)
	h.start(t)
	var clients []*imapClient
	for range idleClients {
		c := h.signInTLS(t)
		defer c.Close()
		c.do(t, "SELECT INBOX")
		c.send(t, "i IDLE\r\n")
		c.until(t, "+ ")
		clients = append(clients, c)
	}
	if err := bySMTP("Letterbox", h.address(25), "EHLO", benchPerson).open(t).deliver(newMix()[0]); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.until(t, "* 2 EXISTS") // beside the welcome
	}
	before, worked := h.written(t), h.processorTime(t)
	time.Sleep(*idleFor) // this is what is measured
	figure(fmt.Sprintf("bytes written in %v", *idleFor), number(float64(h.written(t)-before)), atMost(number(0)))
	figure("processor time", duration(h.processorTime(t)-worked))
	h.stop(t)
}
