package oidc_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

// A whole application: users sign in at the provider, and are out when they are
// out there.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
		SealKeys: []ticketstore.SealKey{[]byte(os.Getenv("SEAL_KEY"))}, // the tickets have tokens
	})
	check(err)
	keys := []ticketstore.CookieKey{{Hash: []byte(os.Getenv("COOKIE_KEY"))}}
	m, err := ticketstore.NewManager(store, ticketstore.Config{CookieKeys: keys, LoginPath: "/login"})
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p, err := oidc.New(ctx, m, store, oidc.Config{
		Issuer:        "https://id.example.com",
		ClientID:      "shop",
		ClientSecret:  oidc.Secret(os.Getenv("OIDC_SECRET")),
		RedirectURL:   "https://shop.example.com/callback",
		PostLogoutURL: "https://shop.example.com/logout",
		Scopes:        []string{"profile", "email", "offline_access"},
		CookieKeys:    keys,
		Redis:         client,
		KeepTokens:    true,
	})
	check(err)

	mux := http.NewServeMux()
	mux.Handle("/login", p.Login())
	mux.Handle("/callback", p.Callback())
	mux.Handle("/logout", p.Logout())
	mux.Handle("/backchannel-logout", p.BackChannelLogout())
	mux.Handle("/", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := p.Token(r.Context(), r)
		switch {
		case errors.Is(err, oidc.ErrSignInAgain):
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case err != nil:
			m.Error(w, r, err)
		default:
			_ = token // for a call to an API in the user's name
		}
	})))
	check(http.ListenAndServe(":8080", http.NewCrossOriginProtection().Handler(mux)))
}

// Users have subjects of their own here, and an account has to be there.
func ExampleConfig_accept() {
	users := map[string]string{"jane@example.com": "user 7"}
	_ = oidc.Config{
		Accept: func(ctx context.Context, s *oidc.SignIn) error {
			var c struct {
				Email    string `json:"email"`
				Verified bool   `json:"email_verified"`
			}
			if err := s.IDToken.Claims(&c); err != nil {
				return err
			}
			subject, ok := users[c.Email]
			if !ok || !c.Verified {
				return oidc.ErrRefused
			}
			s.Ticket.Subject = subject
			return nil
		},
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
