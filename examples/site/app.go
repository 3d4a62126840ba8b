package main

import (
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
	"github.com/ticketstore/ticketstore/devices"
)

// recently is how long ago users have proved who they are, if they may do what
// matters.
const recently = 15 * time.Minute

type app struct {
	cfg     config
	users   *users
	manager *ticketstore.Manager
	flows   *securecookie.SecureCookie
	oauth   oauth2.Config
}

type config struct {
	url      string // as browsers see it: "https://shop.example.com"
	store    *ticketstore.RedisStore
	users    *users
	insecure bool // for Safari on plain HTTP

	storeTimeout time.Duration // if zero, two seconds

	provider               string // its URL
	clientID, clientSecret string
	client                 *http.Client // asks the provider

	// Keys of cookies, random, and the same on all instances: 32 bytes each, and 64
	// for the flow.
	cookieKey, csrfKey, flowKey []byte
}

func newApp(cfg config) (http.Handler, error) {
	a := &app{cfg: cfg, users: cfg.users, flows: newFlowCodec(cfg.flowKey), oauth: oauthConfig(cfg)}
	name := "__Host-site" // cookies know hosts, not ports
	if cfg.insecure {
		name = "site" // the prefix needs Secure
	}
	var err error
	a.manager, err = ticketstore.NewManager(cfg.store, ticketstore.Config{
		CookieKeys:                     []ticketstore.CookieKey{{Hash: cfg.cookieKey}},
		CookieName:                     name,
		LoginPath:                      "/login",
		StoreTimeout:                   cfg.storeTimeout,
		ErrorHandler:                   a.failed,
		DangerouslyAllowInsecureCookie: cfg.insecure,
	})
	if err != nil {
		return nil, err
	}
	return a.routes()
}

func (a *app) routes() (http.Handler, error) {
	own, err := devices.New(a.manager, devices.Config{
		Site:          a.site("devices"),
		Template:      layout,
		Locate:        locate,
		History:       a.cfg.store.History,
		RecentSignIn:  recently,
		SignedOutPath: "/login",
	})
	if err != nil {
		return nil, err
	}
	operatorLayout, err := a.operatorLayout()
	if err != nil {
		return nil, err
	}
	operators, err := admin.New(a.cfg.store, isOperator, admin.Config{
		Site:     a.site("operator"),
		Template: operatorLayout,
		Name:     a.users.names,
		Find:     a.users.find,
		Locate:   locate,
	})
	if err != nil {
		return nil, err
	}
	recent := func(h http.HandlerFunc) http.Handler { return a.manager.RequireRecent(recently, h) }

	private := http.NewServeMux()
	private.HandleFunc("GET /{$}", a.home)
	private.HandleFunc("GET /account/password", a.passwordPage)
	private.Handle("POST /account/password", recent(a.changePassword))
	private.Handle("/operator/", a.forOperators(recent(http.StripPrefix("/operator", operators).ServeHTTP)))
	private.Handle("POST /operator/sign-in-as", a.forOperators(recent(a.signInAs)))
	private.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.problem(w, r, http.StatusNotFound, "There is no such page", "The address may be mistyped.", "Home", "/")
	})

	public := http.NewServeMux()
	public.HandleFunc("GET /login", a.loginPage)
	public.HandleFunc("POST /login", a.login)
	public.HandleFunc("GET /login/provider", a.leave)
	public.HandleFunc("GET /login/callback", a.comeBack)
	public.HandleFunc("POST /logout", a.logout)               // also when the session has ended
	public.HandleFunc("POST /back-to-myself", a.backToMyself) // also when the user's session has ended
	// It includes Require, and has a page for who has just signed out everywhere.
	public.Handle("/account/sessions/", http.StripPrefix("/account/sessions", own))
	public.Handle("/", a.manager.Require(private))

	all := http.NewServeMux()
	all.Handle("GET /static/{file}", http.FileServerFS(files)) // no list of them
	// Within Wrap, every page of the layout knows who is there.
	all.Handle("/", a.manager.Wrap(a.protectForms(public)))
	return secure(http.MaxBytesHandler(all, 64<<10)), nil
}

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The pages of devices and admin have a policy of their own.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("Referrer-Policy", "same-origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// isOperator does not hold for an operator who acts as a user: the roles of a
// ticket are those of its subject.
func isOperator(r *http.Request) bool {
	t, ok := ticketstore.FromContext(r.Context())
	return ok && t.HasRole(operator)
}

func (a *app) forOperators(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOperator(r) {
			a.problem(w, r, http.StatusForbidden,
				"This page is for operators", "You are signed in, but not as one.", "Home", "/")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context())
	a.show(w, r, http.StatusOK, "home", "Your account", "home.html", t)
}
