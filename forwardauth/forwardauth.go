// Package forwardauth answers proxies that ask whether a request may pass:
// nginx (auth_request), Caddy (forward_auth), Traefik (ForwardAuth) and Envoy
// (ext_authz over HTTP). So a session guards what is not written in Go, and that
// learns who the user is from headers:
//
//	h, err := forwardauth.New(manager, forwardauth.Config{
//		Headers: map[string]func(*ticketstore.Ticket) []string{
//			"Remote-User":  forwardauth.Subject,
//			"Remote-Roles": forwardauth.Roles,
//		},
//		LoginURL: "/login",
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/forwardauth", h)
//
// docs/proxies.md has the configuration of each proxy, which matters as much as
// this program does: it takes away what clients write into the same headers, and
// keeps the key from the server behind it.
//
// # Answers
//
//	200  signed in; Headers are set
//	403  signed in, but [Config].Allow says no
//	401  not signed in; to nginx, which passes no redirect on, with Location
//	303  not signed in, and a browser on its way to a page: to LoginURL
//	503  the store cannot answer: see [ticketstore.Config].ErrorHandler
//
// Every one of Headers is in every answer, empty if the ticket has nothing for
// it: a proxy that copies what is there then overwrites what the client sent. No
// answer has a cookie to pass on, since only sign-in, Rotate and sign-out set it.
//
// # Values
//
// Values are plain: printable ASCII is sent as it is, and everything else
// percent-encoded as UTF-8 (RFC 3986, section 2.1), as are %, the comma, and a
// space at the beginning or the end. Of several values, commas are between them.
// So no value breaks out of its header, passes for two, or becomes another one
// where spaces are trimmed. To read them, split at commas and then decode, as
// [net/url.PathUnescape] and decodeURIComponent do.
package forwardauth

import (
	"log/slog"
	"net/http"
	"net/url"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/returnurl"
)

// A Handler answers proxies. It is safe for concurrent use. Make one with [New].
type Handler struct {
	manager *ticketstore.Manager
	cfg     Config
	login   *url.URL // nil if there is none
	origins []string // as origin returns them
}

// ServeHTTP answers a proxy about the request that it describes: in
// X-Original-URL and X-Original-Method, as nginx is told to; in X-Forwarded-Uri,
// -Host, -Proto and -Method, as Caddy and Traefik do; or else by being sent to
// the same host and path, as Envoy does. The Manager's Activity, Skip and
// ClientAddr get a request with that method, host and URL. What Skip is true for
// is anonymous here.
//
// Mount it outside of Wrap, which would go by the proxy's own URL.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.empty(w)
	w.Header().Set("Cache-Control", "no-store")
	o := originalOf(r)
	passed := false
	out := &closed{w: w}
	h.manager.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		passed = true
		h.answer(w, r, o)
	})).ServeHTTP(out, o.apply(r))
	if !passed {
		out.end()
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, o original) {
	t, signedIn := ticketstore.FromContext(r.Context())
	switch {
	case signedIn && h.cfg.Allow != nil && !h.cfg.Allow(t):
		http.Error(w, "You may not use this page.", http.StatusForbidden)
	case signedIn:
		if err := h.tell(w, t); err != nil {
			h.log(r, err, t.ID)
			h.empty(w)
			http.Error(w, "What is known of the user does not fit into headers.", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusOK)
	case h.cfg.Optional:
		w.WriteHeader(http.StatusOK)
	default:
		h.refuse(w, r, o)
	}
}

// empty sets every header to nothing.
func (h *Handler) empty(w http.ResponseWriter) {
	for name := range h.cfg.Headers {
		w.Header().Set(name, "")
	}
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, o original) {
	login := h.loginURL(r, o)
	if login != "" && !o.nginx {
		http.Redirect(w, r, login, http.StatusSeeOther)
		return
	}
	if login != "" {
		w.Header().Set("Location", login)
	}
	w.Header().Set("WWW-Authenticate", "Cookie") // RFC 9110, section 11.6.1
	http.Error(w, "Sign-in is required.", http.StatusUnauthorized)
}

// loginURL returns where to send r, which o describes, to sign in; "" if it is
// no browser on its way to a page, or on its way there.
func (h *Handler) loginURL(r *http.Request, o original) string {
	if h.login == nil || !returnurl.Navigates(r) {
		return ""
	}
	sameHost := h.login.Host == "" || origin(h.login.Scheme, h.login.Host) == o.origin
	if sameHost && returnurl.SamePath(o.target, h.login) {
		return "" // the login page itself is guarded
	}
	back := o.target
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		if back = returnurl.Form(r); back == "" || sameHost && returnurl.SamePath(back, h.login) {
			back = "/"
		}
	default:
		return ""
	}
	if back = returnurl.Bounded(back); h.login.Host != "" {
		if back = h.allowed(o.origin, back); back == "" {
			return h.login.String()
		}
	}
	login := *h.login
	q := login.Query()
	q.Set(returnurl.Parameter, back)
	login.RawQuery = q.Encode()
	return login.String()
}

// ReturnURL returns where the login page sends r's user after sign-in: what
// [ticketstore.Manager.ReturnURL] returns, or a URL on one of [Config].Origins.
// Anybody can make a link with a ReturnUrl: use no other way to read it.
func (h *Handler) ReturnURL(r *http.Request) string {
	if u, err := url.Parse(returnurl.Of(r)); err == nil {
		if back := h.allowed(origin(u.Scheme, u.Host), u.RequestURI()); back != "" {
			return back
		}
	}
	return h.manager.ReturnURL(r)
}

func (h *Handler) log(r *http.Request, err error, session string) {
	logger := h.cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.ErrorContext(r.Context(), "forwardauth: a signed-in user is refused", "session", session, "error", err)
}

// closed is what the Manager gets to say that the store cannot answer. To a
// proxy any 2xx means that the request may pass, and an ErrorHandler that sets
// no status answers 200.
type closed struct {
	w      http.ResponseWriter
	status bool
}

func (c *closed) Header() http.Header { return c.w.Header() }

func (c *closed) WriteHeader(status int) {
	if c.status || status < 200 {
		return
	}
	if c.status = true; status < 300 {
		status = http.StatusServiceUnavailable
	}
	c.w.WriteHeader(status)
}

func (c *closed) Write(p []byte) (int, error) {
	c.end()
	return c.w.Write(p)
}

func (c *closed) end() {
	if !c.status {
		c.WriteHeader(http.StatusServiceUnavailable)
	}
}
