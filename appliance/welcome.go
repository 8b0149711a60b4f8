package appliance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"mime"
	"text/template"
	"time"

	"letterbox/appliance/config"
	"letterbox/store"
)

// What a welcome is known by.
const (
	welcomeFrom    = "From: Letterbox <postmaster@"
	welcomeSubject = "Welcome to your letterbox"
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
	ports := map[string]any{"IMAPS": c.Listen.PublicPort(config.IMAPS), "Submissions": c.Listen.PublicPort(config.Submissions)}
	if _, err := in.Write(letterFor(c, p, a.now(), welcomeSubject, welcomeText, ports)); err != nil {
		return err
	}
	return a.store.Deliver(ctx, in, []store.Target{{Person: p.Name}})
}

// letterFor is a mail from the letterbox to p, with CRLF line ends. The template is told who they are and how the household
// is called, and what more says.
func letterFor(c config.Config, p config.Person, now time.Time, subject string, body *template.Template, more map[string]any) []byte {
	address := p.Name + "@" + string(c.MainDomain())
	data := map[string]any{
		"Person":    p.Name,
		"FullName":  p.FullName,
		"Address":   address,
		"Household": c.Household.Name,
		"Hostname":  c.Hostname(),
	}
	maps.Copy(data, more)
	var text bytes.Buffer
	if err := body.Execute(&text, data); err != nil {
		panic(err) // templates and their data are our own
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, welcomeFrom+"%s>\n", c.MainDomain())
	fmt.Fprintf(&b, "To: %s\n", address)
	fmt.Fprintf(&b, "Subject: %s\n", mime.QEncoding.Encode("utf-8", subject))
	fmt.Fprintf(&b, "Date: %s\n", now.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\n", rand.Text(), c.Hostname())
	b.WriteString("Auto-Submitted: auto-generated\n") // RFC 3834, 5: no vacation answers this
	b.WriteString("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	text.WriteTo(&b)
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
}
