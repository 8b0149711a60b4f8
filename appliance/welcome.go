package appliance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"mime"
	"text/template"
	"time"

	"letterbox/appliance/config"
	"letterbox/store"
)

// welcomeText is the first mail that somebody finds in their mailbox.
var welcomeText = template.Must(template.New("welcome").Parse(`Hello{{with .FullName}} {{.}}{{end}},

this is your letterbox{{with .Household}} at {{.}}{{end}}. Your address is {{.Address}}.

Any mail program can read it, on as many devices as you like: your mail stays
here, and every device shows the same.

    To read mail:  IMAP, server {{.Hostname}}, port {{.IMAPS}}, TLS
    To send mail:  SMTP, server {{.Hostname}}, port {{.Submissions}}, TLS
    Name:          {{.Person}}

Mail between the people of this household is delivered at once. Mail to
addresses elsewhere is not sent yet.
`))

// welcome leaves a first mail with everybody who has just got a mailbox. That it may fail is logged and hinders nothing.
func (a *Appliance) welcome(ctx context.Context, c config.Config, newcomers []config.Person) {
	for _, p := range newcomers {
		if err := a.deliverWelcome(ctx, c, p); err != nil {
			a.log.Warn("the welcome mail was not delivered", "person", p.Name, "err", err)
		}
	}
}

func (a *Appliance) deliverWelcome(ctx context.Context, c config.Config, p config.Person) error {
	in := a.store.NewIncoming()
	defer in.Close()
	if _, err := in.Write(welcomeMessage(c, p, a.now())); err != nil {
		return err
	}
	return a.store.Deliver(ctx, in, []store.Target{{Person: p.Name}})
}

// welcomeMessage is the welcome mail for p, with CRLF line ends.
func welcomeMessage(c config.Config, p config.Person, now time.Time) []byte {
	address := p.Name + "@" + string(c.MainDomain())
	var text bytes.Buffer
	err := welcomeText.Execute(&text, map[string]any{
		"FullName":    p.FullName,
		"Household":   c.Household.Name,
		"Address":     address,
		"Hostname":    c.Hostname(),
		"IMAPS":       c.Listen.PublicPort(config.IMAPS),
		"Submissions": c.Listen.PublicPort(config.Submissions),
		"Person":      p.Name,
	})
	if err != nil {
		panic(err) // the template and its data stand above
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Letterbox <postmaster@%s>\n", c.MainDomain())
	fmt.Fprintf(&b, "To: %s\n", address)
	fmt.Fprintf(&b, "Subject: %s\n", mime.QEncoding.Encode("utf-8", "Welcome to your letterbox"))
	fmt.Fprintf(&b, "Date: %s\n", now.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\n", rand.Text(), c.Hostname())
	b.WriteString("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	text.WriteTo(&b)
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
}
