package webui

import (
	"net"
	"net/http"
	"net/netip"

	"letterbox/appliance/config"
)

// settings are what is typed into a mail program.
type settings struct {
	Server  string
	Address string // of the server, for programs that do not find its name; "" if it is not known
	// Loopback says that Address is good on this machine alone.
	Loopback bool
	In, Out  []service
	Person   config.Person // without a name: nobody in particular
	Mail     string        // that person's address
	Domain   string        // of everybody's
}

// service is one way in or out.
type service struct {
	Port     int
	Security string
	Advised  bool
}

// settingsFor collects the settings as they are for whoever asks.
func settingsFor(c config.Config, person config.Person, r *http.Request) settings {
	s := settings{Server: c.Hostname().Unicode(), Person: person, Domain: c.MainDomain().Unicode()}
	if ip := addressUsed(r); ip.IsValid() {
		s.Address, s.Loopback = ip.String(), ip.IsLoopback()
	}
	if person.Name != "" {
		s.Mail = mailOf(person, c)
	}
	s.In = services(c.Listen, config.IMAPS, config.IMAP)
	s.Out = services(c.Listen, config.Submissions, config.Submission)
	return s
}

// mailOf is a person's main address, as people read it.
func mailOf(p config.Person, c config.Config) string { return p.Name + "@" + c.MainDomain().Unicode() }

// services lists those of the two that are on. RFC 8314, 3: TLS from the first byte is the one to use.
func services(l config.Listen, implicit, upgraded config.Service) []service {
	var out []service
	if l.On(implicit) {
		out = append(out, service{Port: l.PublicPort(implicit), Security: "SSL/TLS"})
	}
	if l.On(upgraded) {
		out = append(out, service{Port: l.PublicPort(upgraded), Security: "STARTTLS"})
	}
	if len(out) > 0 {
		out[0].Advised = true
	}
	return out
}

// addressUsed is the address of this box at which the request arrived: it is known to work.
// The zero Addr means that none is of use to a mail program.
func addressUsed(r *http.Request) netip.Addr {
	if ip, err := netip.ParseAddr(hostOf(r.Host)); err == nil {
		return ip
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(local.String())
	if err != nil || ap.Addr().Is6() && ap.Addr().IsLinkLocalUnicast() { // it would need a zone
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// homeData is what the pages that tell of a running box show.
type homeData struct {
	Settings     settings
	Certificates Certificates
	Household    string
	People       int
}

func (u *UI) homeData(r *http.Request, person config.Person) homeData {
	c, _ := u.appliance.Config()
	return homeData{
		Settings:     settingsFor(c, person, r),
		Certificates: u.appliance.Certificates(),
		Household:    c.Household.Name,
		People:       len(c.People),
	}
}

// home says that all is well, or leads to set-up.
func (u *UI) home(w http.ResponseWriter, r *http.Request) {
	if _, configured := u.appliance.Config(); !configured {
		seeOther(w, r, "/setup")
		return
	}
	u.render(w, http.StatusOK, "home", page{Title: titleHome, Data: u.homeData(r, config.Person{})})
}

// donePage is the last page of the wizard.
func (u *UI) donePage(w http.ResponseWriter, r *http.Request, s *session) {
	var person config.Person
	if c, _ := u.appliance.Config(); s.draft.hasPerson() && len(c.People) > 0 {
		for _, p := range c.People {
			if p.Password == s.draft.Password { // salted: no other person has the same
				person = p
			}
		}
	}
	p := page{Title: titleDone, Data: u.homeData(r, person)}
	switch {
	case s.rerun && person.Name == "":
		p.Title = titleDoneAgain
	case s.rerun:
		p.Title = titleDoneMore
	}
	u.render(w, http.StatusOK, "done", p)
}

// rootCertificate gives out the household's root, which devices are told to trust. The guard lets it out over
// HTTPS only.
func (u *UI) rootCertificate(w http.ResponseWriter, r *http.Request) {
	if _, configured := u.appliance.Config(); !configured {
		seeOther(w, r, "/setup")
		return
	}
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	w.Header().Set("Content-Disposition", `attachment; filename="letterbox-root.crt"`)
	w.Write(u.appliance.Certificates().RootPEM)
}
