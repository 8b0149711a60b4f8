package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"letterbox/appliance/config"
	"letterbox/appliance/mailaddr"
)

// step is one page of the wizard: how it is shown, and how it takes what was typed.
type step struct {
	path string
	name string
	good func(*session) bool // what was typed was found good; nil for the last
	show func(*UI, http.ResponseWriter, *http.Request, *session)
	take func(*UI, http.ResponseWriter, *http.Request, *session)
}

// steps are the pages in their order.
func steps() []step {
	return []step{
		{"/setup/household", stepHousehold, func(s *session) bool { return s.draft.householdGood }, (*UI).showHousehold, (*UI).takeHousehold},
		{"/setup/address", stepAddress, func(s *session) bool { return s.draft.addressGood }, (*UI).showAddress, (*UI).takeAddress},
		{"/setup/person", stepPerson, func(s *session) bool { return s.draft.personGood }, (*UI).showPerson, (*UI).takePerson},
		{"/setup/review", stepReview, nil, (*UI).showReview, nil},
	}
}

// stepsOf are the pages that this session goes through.
func stepsOf(s *session) []step {
	if s.adding {
		return steps()[2:]
	}
	return steps()
}

// way is the line of pages as seen from one of them.
func way(s *session, here string) []waypoint {
	var out []waypoint
	for _, st := range stepsOf(s) {
		w := waypoint{Name: st.name, Here: st.path == here, Done: st.good != nil && st.good(s) && st.path != here}
		if w.Done && s.mayShow(st.path) {
			w.Path = st.path
		}
		out = append(out, w)
	}
	return out
}

// next is the first page that still wants something.
func (s *session) next() string {
	if s.finished {
		return "/setup/done"
	}
	all := stepsOf(s)
	for _, st := range all {
		if st.good != nil && !st.good(s) {
			return st.path
		}
	}
	return all[len(all)-1].path
}

// mayShow reports whether a page's turn has come: every page before it was found good.
func (s *session) mayShow(path string) bool {
	if s.finished {
		return path == "/setup/done" || path == "/setup/another"
	}
	for _, st := range stepsOf(s) {
		if st.path == path {
			return true
		}
		if st.good == nil || !st.good(s) {
			return false
		}
	}
	return false
}

// inSession calls page with the request's session, one request at a time. Without a session it asks for the code.
func (u *UI) inSession(page func(*UI, http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := u.sessions.find(r, u.now())
		if s == nil {
			seeOther(w, r, "/setup")
			return
		}
		if err := r.ParseForm(); err != nil {
			u.refuseForm(w, err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.URL.Path != "/setup/apply" && !s.mayShow(r.URL.Path) {
			seeOther(w, r, s.next())
			return
		}
		page(u, w, r, s)
	}
}

// refuseForm answers a form that could not be read: too large, broken, or not whole when its time was over.
func (u *UI) refuseForm(w http.ResponseWriter, err error) {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		u.refuse(w, http.StatusRequestEntityTooLarge, refusalTooLarge)
		return
	}
	u.refuse(w, http.StatusBadRequest, refusalHalf)
}

func seeOther(w http.ResponseWriter, r *http.Request, path string) {
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// showCode is the first page: it asks for the one-time code.
func (u *UI) showCode(w http.ResponseWriter, r *http.Request) {
	if s := u.sessions.find(r, u.now()); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		seeOther(w, r, s.next())
		return
	}
	fault := ""
	if _, err := r.Cookie(sessionField); err == nil {
		http.SetCookie(w, &http.Cookie{Name: sessionField, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
		fault = faultSessionOver
	}
	u.codePage(w, http.StatusOK, r.URL.Query().Get(fieldCode), "", fault)
}

// takeCode opens a session for the right code.
func (u *UI) takeCode(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		u.refuseForm(w, err)
		return
	}
	if u.sessions.find(r, u.now()) != nil {
		seeOther(w, r, "/setup") // a double click
		return
	}
	typed := r.PostForm.Get(fieldCode)
	if plainCode(typed) == "" {
		u.codePage(w, http.StatusUnprocessableEntity, "", faultNoCode, "")
		return
	}
	switch u.code.try(typed, u.now()) {
	case codeWrong:
		u.log.Warn("a wrong set-up code was typed", "peer", r.RemoteAddr)
		u.codePage(w, http.StatusUnprocessableEntity, typed, faultCodeWrong, "")
	case codeVoid:
		u.codePage(w, http.StatusUnprocessableEntity, typed, faultCodeVoid, "")
	case codeRight:
		s := u.sessions.begin(u.now())
		c, configured := u.appliance.Config()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rerun, s.draft = configured, newDraft(c, configured, u.machine)
		u.log.Info("set-up was begun", "peer", r.RemoteAddr)
		http.SetCookie(w, s.cookie())
		seeOther(w, r, s.next())
	}
}

// codeData is what the page of the code has of its own.
type codeData struct {
	Again  bool // there is a household already
	Filled bool // a link has brought the code
}

func (u *UI) codePage(w http.ResponseWriter, status int, typed, fault, notice string) {
	_, configured := u.appliance.Config()
	filled := typed != "" && fault == ""
	p := page{Title: titleWelcome, Faulty: fault != "", Notice: notice, Data: codeData{Again: configured, Filled: filled}}
	if configured {
		p.Title = titleAgain
	}
	hint := hintCode
	if filled {
		hint = hintCodeFilled
	}
	p.Fields = []field{{Name: fieldCode, Label: labelCode, Value: typed[:min(len(typed), 200)], Fault: fault, Autocomplete: "off", Mono: true, Focus: !filled,
		Hint: hint}}
	u.render(w, status, "code", p)
}

// taken ends a page's POST: on to the next, back to the one before, or once more with the faults.
func (u *UI) taken(w http.ResponseWriter, r *http.Request, s *session, f faults, again func(int, faults)) {
	s.revision++
	switch all := stepsOf(s); {
	case r.PostForm.Has(fieldBack):
		before := all[0].path
		for i, st := range all {
			if st.path == r.URL.Path && i > 0 {
				before = all[i-1].path
			}
		}
		seeOther(w, r, before)
	case len(f) > 0:
		again(http.StatusUnprocessableEntity, f)
	default:
		seeOther(w, r, s.next())
	}
}

func (u *UI) showHousehold(w http.ResponseWriter, _ *http.Request, s *session) {
	u.householdPage(w, http.StatusOK, s, nil)
}

func (u *UI) takeHousehold(w http.ResponseWriter, r *http.Request, s *session) {
	f := s.draft.takeHousehold(r.PostForm)
	u.taken(w, r, s, f, func(status int, f faults) { u.householdPage(w, status, s, f) })
}

func (u *UI) householdPage(w http.ResponseWriter, status int, s *session, f faults) {
	u.render(w, status, "household", page{
		Title: titleHousehold, Way: way(s, "/setup/household"), Faulty: len(f) > 0,
		Fields: []field{{Name: fieldHousehold, Label: labelHousehold, Value: s.draft.Household, Fault: f[fieldHousehold], Autocomplete: "off", Focus: true,
			Hint: hintHousehold}},
	})
}

// addressData is what the page of the address has of its own.
type addressData struct {
	Own      bool
	Home     string // the domain proposed
	Domain   field
	Hostname field
	Open     bool   // the part about the box's own name is unfolded
	Old      string // the main domain so far; "" if there is none
}

func (u *UI) showAddress(w http.ResponseWriter, _ *http.Request, s *session) {
	u.addressPage(w, http.StatusOK, s, nil)
}

func (u *UI) takeAddress(w http.ResponseWriter, r *http.Request, s *session) {
	f := s.draft.takeAddress(r.PostForm, u.machine)
	u.taken(w, r, s, f, func(status int, f faults) { u.addressPage(w, status, s, f) })
}

func (u *UI) addressPage(w http.ResponseWriter, status int, s *session, f faults) {
	c, _ := u.appliance.Config()
	d := &s.draft
	u.render(w, status, "address", page{
		Title: titleAddress, Way: way(s, "/setup/address"), Faulty: len(f) > 0,
		Data: addressData{
			Own:  d.Own,
			Home: d.home().Unicode(),
			Open: d.Hostname != "" || f[fieldHostname] != "",
			Old:  c.MainDomain().Unicode(),
			Domain: field{Name: fieldDomain, Label: labelDomain, Value: d.Domain, Fault: f[fieldDomain], Type: "text", Autocomplete: "off", Mono: true,
				Hint: hintDomain},
			Hostname: field{Name: fieldHostname, Label: labelHostname, Value: d.Hostname, Fault: f[fieldHostname], Type: "text", Autocomplete: "off", Mono: true, Optional: true,
				Hint: fmt.Sprintf(hintHostname, proposeHostname(u.machine, d.mailName, d.home()))},
		},
	})
}

func (u *UI) showPerson(w http.ResponseWriter, _ *http.Request, s *session) {
	u.personPage(w, http.StatusOK, s, nil)
}

func (u *UI) takePerson(w http.ResponseWriter, r *http.Request, s *session) {
	c, _ := u.appliance.Config()
	f := s.draft.takePerson(r.PostForm, c, s.rerun && !s.adding && len(c.People) > 0)
	u.taken(w, r, s, f, func(status int, f faults) { u.personPage(w, status, s, f) })
}

// mainDomain is the domain of the addresses that this session is about to make.
func (s *session) mainDomain(c config.Config) mailaddr.Domain {
	if s.adding {
		return c.MainDomain()
	}
	domain, _ := s.draft.domain() // the page before has found it good
	return domain
}

// personData is what the page of the person has of its own.
type personData struct {
	Others   []config.Person // who is there already
	Optional bool
	Back     bool
}

func (u *UI) personPage(w http.ResponseWriter, status int, s *session, f faults) {
	c, _ := u.appliance.Config()
	d := &s.draft
	p := page{Title: titleFirst, Way: way(s, "/setup/person"), Faulty: len(f) > 0, Kept: d.Password != "",
		Data: personData{Others: c.People, Optional: s.rerun && !s.adding && len(c.People) > 0, Back: !s.adding}}
	if len(c.People) > 0 {
		p.Title = titleOthers
	}
	password := hintPassword
	if p.Kept {
		password = hintPasswordKept
	}
	p.Fields = []field{
		{Name: fieldFullName, Label: labelFullName, Value: d.FullName, Fault: f[fieldFullName], Autocomplete: "off", Focus: true, Hint: hintFullName},
		{Name: fieldLogin, Label: labelLogin, Value: d.Login, Fault: f[fieldLogin], Autocomplete: "username", Mono: true, Optional: true,
			Hint: fmt.Sprintf(hintLogin, s.mainDomain(c).Unicode())},
		{Name: fieldPassword, Label: labelPassword, Fault: f[fieldPassword], Type: "password", Autocomplete: "new-password", Hint: password},
		{Name: fieldAgain, Label: labelAgain, Fault: f[fieldAgain], Type: "password", Autocomplete: "new-password"},
	}
	u.render(w, status, "person", p)
}

// reviewData is what will be set up.
type reviewData struct {
	Revision int
	Adding   bool
	Only     bool   // a person is added, and nothing else changes
	Before   string // the main domain so far, if another takes its place
	Host     string // the name of this box so far, if another takes its place
	After    config.Config
	Person   config.Person // without a name: nobody is added
	Mail     string        // that person's address
	Others   int
}

func (u *UI) showReview(w http.ResponseWriter, _ *http.Request, s *session) {
	u.reviewPage(w, http.StatusOK, s, "")
}

func (u *UI) reviewPage(w http.ResponseWriter, status int, s *session, notice string) {
	before, _ := u.appliance.Config()
	after := before.Clone()
	if err := s.draft.change(&after, u.machine, s.adding); err != nil {
		notice = sentence(err)
	}
	d := reviewData{Revision: s.revision, Adding: s.adding, After: after, Others: len(before.People)}
	if s.draft.hasPerson() {
		d.Person = after.People[len(after.People)-1]
		d.Mail = mailOf(d.Person, after)
	}
	if m := before.MainDomain(); m != after.MainDomain() {
		d.Before = m.Unicode()
	}
	d.Only = d.Person.Name != "" && before.Household.Name == after.Household.Name && before.MainDomain() == after.MainDomain() && before.Hostname() == after.Hostname()
	if h := before.Hostname(); h != after.Hostname() {
		d.Host = h.Unicode()
	}
	u.render(w, status, "review", page{Title: titleReview, Way: way(s, "/setup/review"), Notice: notice, Faulty: notice != "", Data: d})
}

// apply is the last click. It answers with the page itself and not with a redirection: the certificate has just
// changed, and a new connection may first have to get past the browser's warning.
func (u *UI) apply(w http.ResponseWriter, r *http.Request, s *session) {
	shown, _ := strconv.Atoi(r.PostForm.Get(fieldRevision))
	switch {
	case s.finished && shown == s.applied: // a second click, or a reload of the last page
		u.donePage(w, r, s)
		return
	case !s.mayShow("/setup/review"):
		seeOther(w, r, s.next())
		return
	case shown != s.revision:
		u.reviewPage(w, http.StatusConflict, s, faultNotShown)
		return
	}
	// A browser that goes away, as at a double click, does not stop it half-way.
	err := u.appliance.Update(context.WithoutCancel(r.Context()), func(c *config.Config) error {
		return s.draft.change(c, u.machine, s.adding)
	})
	if err != nil {
		u.log.Error("the set-up was not applied", "err", err)
		status := http.StatusInternalServerError
		if f := (config.Faults{}); errors.As(err, &f) {
			status = http.StatusUnprocessableEntity
		}
		u.reviewPage(w, status, s, sentence(err))
		return
	}
	s.applied, s.finished = s.revision, true
	u.log.Info("the set-up was applied", "peer", r.RemoteAddr)
	u.donePage(w, r, s)
}

// showDone shows the last page again.
func (u *UI) showDone(w http.ResponseWriter, r *http.Request, s *session) {
	if !s.finished {
		seeOther(w, r, s.next())
		return
	}
	u.donePage(w, r, s)
}

// another begins a further person.
func (u *UI) another(w http.ResponseWriter, r *http.Request, s *session) {
	s.draft.forget()
	s.adding, s.rerun, s.finished = true, true, false
	s.revision++
	seeOther(w, r, s.next())
}
