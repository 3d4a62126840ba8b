package main

import (
	"embed"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
)

//go:embed page.html style.css
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

// The types of claims that ASP.NET Core goes by, System.Security.Claims.ClaimTypes.
const (
	nameIdentifier = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
	nameClaim      = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
	roleClaim      = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
)

type app struct{ manager *ticketstore.Manager }

func (a *app) routes() (http.Handler, error) {
	own, err := devices.New(a.manager, devices.Config{Text: devices.Text{
		Note: "Last use is noted once in a while, at most every half of a session's length. Signing out everywhere includes this device.",
	}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /go/{$}", a.manager.Wrap(http.HandlerFunc(a.home)))
	mux.Handle("/go/sessions/", http.StripPrefix("/go/sessions", own))
	mux.Handle("GET /go/style.css", http.StripPrefix("/go", http.FileServerFS(files)))
	mux.HandleFunc("POST /go/login", a.login)
	mux.HandleFunc("POST /go/logout", a.logout)
	protected := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 16<<10))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		protected.ServeHTTP(w, r)
	}), nil
}

func (a *app) home(w http.ResponseWriter, r *http.Request) { a.page(w, r, http.StatusOK, "") }

// login signs in here what the ASP.NET Core application then knows as a
// ClaimsPrincipal with the same claims as after its own sign-in.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	u, ok := users[r.PostFormValue("name")]
	if !ok || u.password != r.PostFormValue("password") {
		a.page(w, r, http.StatusUnauthorized, "The name or the password is wrong.")
		return
	}
	t := ticketstore.NewTicket(r.PostFormValue("name"),
		ticketstore.Claim{Type: nameIdentifier, Value: r.PostFormValue("name")},
		ticketstore.Claim{Type: nameClaim, Value: u.name},
		ticketstore.Claim{Type: roleClaim, Value: u.role},
		ticketstore.Claim{Type: "department", Value: u.department})
	t.Scheme = "Cookies"
	id := &t.Identities[0]
	id.AuthenticationType, id.NameClaimType, id.RoleClaimType = "pwd", nameClaim, roleClaim
	t.Persistent = r.PostFormValue("persistent") != ""
	if err := a.manager.SignIn(w, r, t); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, "/go/", http.StatusSeeOther)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.manager.SignOut(w, r); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, "/go/", http.StatusSeeOther)
}

func (a *app) page(w http.ResponseWriter, r *http.Request, status int, problem string) {
	t, _ := ticketstore.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // or Back shows it after sign-out
	w.WriteHeader(status)
	err := pageTemplate.Execute(w, struct {
		Ticket  *ticketstore.Ticket // nil if nobody is signed in
		Problem string
	}{t, problem})
	if err != nil {
		slog.WarnContext(r.Context(), "page not written", "error", err)
	}
}

type user struct{ name, password, role, department string }

// The users of the ASP.NET Core application.
var users = map[string]user{
	"alice": {"Alice", "wonderland", "admin", "books"},
	"bob":   {"Bob", "builder", "member", "tools"},
}
