package oidc_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

func keepTokens(c *oidc.Config, s *ticketstore.RedisConfig) {
	c.KeepTokens = true
	c.Scopes = []string{"offline_access"}
	s.SealKeys = []ticketstore.SealKey{[]byte(strings.Repeat("s", 32))}
}

// token calls Token as a handler within Wrap does.
func (s *site) token(b *http.Client) (token *oauth2.Token, err error) {
	s.t.Helper()
	s.wrapped(b, func(r *http.Request) { token, err = s.oidc.Token(r.Context(), r) })
	return token, err
}

// wrapped calls f with a request of b within Wrap.
func (s *site) wrapped(b *http.Client, f func(*http.Request)) {
	s.t.Helper()
	s.manager.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r) })).ServeHTTP(discard{}, s.request(b))
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// wantToken fails if there is another token, or one that can be refreshed.
func wantToken(t *testing.T, token *oauth2.Token, err error, want string) {
	t.Helper()
	if err != nil || token.AccessToken != want {
		t.Errorf("got %v, %v, want %s", token, err, want)
	} else if token.RefreshToken != "" {
		t.Error("the refresh token is handed out")
	}
}

func (p *idp) redemptions() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.redeemed)
}

func TestToken(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(keepTokens)
	if strings.Contains(w.log.String(), "SealKeys") {
		t.Error("there is a warning though records are sealed")
	}
	b := s.signIn()
	token, err := s.token(b)
	wantToken(t, token, err, "access-1")
	if got := token.Expiry.Sub(w.clock.Now()); got > 5*time.Minute || got <= 5*time.Minute-time.Second {
		t.Errorf("it expires in %v, want 5m, cut to the second", got)
	}
	w.clock.advance(4*time.Minute + 51*time.Second) // 9 seconds are left
	token, err = s.token(b)
	wantToken(t, token, err, "access-2")
	token, err = s.oidc.Token(t.Context(), s.request(b)) // without Wrap
	wantToken(t, token, err, "access-2")
	w.clock.advance(6 * time.Minute)
	token, err = s.token(b)
	wantToken(t, token, err, "access-3")
	if got := w.idp.redemptions(); got["refresh-1"] != 1 || got["refresh-2"] != 1 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	// As ASP.NET Core's SaveTokens has them.
	p := s.resolve(b).Properties
	if p[".Token.access_token"] != "access-3" || p[".Token.refresh_token"] != "refresh-3" || p[".Token.token_type"] != "Bearer" ||
		p[".TokenNames"] != "id_token;access_token;token_type;refresh_token;expires_at" || p[".Token.id_token"] == "" {
		t.Errorf("got %v", p)
	}
	if _, err := time.Parse(time.RFC3339, p[".Token.expires_at"]); err != nil {
		t.Error(err)
	}
	if p[".oidc.refreshing"] != "" {
		t.Error("the claim is left")
	}
	if _, err := s.token(s.browser()); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("anonymous: got %v, want ErrNotFound", err)
	}
	if _, err := w.newSite().token(b); err == nil || !strings.Contains(err.Error(), "KeepTokens") {
		t.Errorf("without KeepTokens: got %v", err)
	}
}

func TestWarnsWithoutSealKeys(t *testing.T) {
	w := newWorld(t)
	w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) { c.KeepTokens = true })
	if n := strings.Count(w.log.String(), "SealKeys"); n != 1 {
		t.Errorf("got %d warnings, want one: %s", n, w.log)
	}
}

// 50 requests at three instances with an expired token: one redemption.
func TestTokenOnce(t *testing.T) {
	t.Parallel()
	for name, wrapped := range map[string]bool{"within Wrap": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			sites := []*site{w.newSite(keepTokens), w.newSite(keepTokens), w.newSite(keepTokens)}
			b := sites[0].signIn()
			for round := range 3 {
				w.clock.advance(5 * time.Minute)
				tokens := make([]string, 50)
				var wg sync.WaitGroup
				for i := range tokens {
					wg.Go(func() {
						s := sites[i%3]
						var token *oauth2.Token
						var err error
						if wrapped {
							token, err = s.token(b)
						} else {
							token, err = s.oidc.Token(t.Context(), s.request(b))
						}
						if err != nil {
							t.Errorf("request %d: %v", i, err)
							return
						}
						tokens[i] = token.AccessToken
					})
				}
				wg.Wait()
				for i, token := range tokens {
					if token != tokens[0] {
						t.Errorf("round %d: request %d got %s, request 0 %s", round, i, token, tokens[0])
					}
				}
			}
			got := w.idp.redemptions()
			for token, n := range got {
				if n != 1 {
					t.Errorf("%s was redeemed %d times", token, n)
				}
			}
			if len(got) != 3 || w.idp.refresh == "" {
				t.Errorf("got %v, want one a round, and a family that lives", got)
			}
		})
	}
}

// An instance dies after the provider has taken the refresh token and before it
// has written the new one. Nobody redeems it again.
func TestTokenOwnerCrashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dying, s := w.newSite(keepTokens), w.newSite(keepTokens)
	b := s.signIn()
	w.clock.advance(6 * time.Minute)
	// A panic in a handler ends it as a crash would: nothing else runs.
	crash(t, w, dying, b)
	if n := w.idp.redemptions()["refresh-1"]; n != 1 {
		t.Fatalf("got %d redemptions", n)
	}
	// For a while somebody might still be at work.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	if _, err := s.oidc.Token(ctx, s.request(b)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, oidc.ErrSignInAgain) {
		t.Errorf("at once: got %v, want to be told to come again", err)
	}
	cancel()
	w.clock.advance(31 * time.Second)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.token(b); !errors.Is(err, oidc.ErrSignInAgain) {
				t.Errorf("got %v, want ErrSignInAgain", err)
			}
		})
	}
	wg.Wait()
	if n := w.idp.redemptions()["refresh-1"]; n != 1 {
		t.Errorf("got %d redemptions", n)
	}
	if !s.signedIn(b) {
		t.Error("the session has ended, too")
	}
	// After a new sign-in there is a token.
	if a := s.get(b, "/login?ReturnUrl=%2Fme"); a.status != 200 {
		t.Fatalf("got %d: %s", a.status, a.body)
	}
	if token, err := s.token(b); err != nil || token.AccessToken == "" {
		t.Errorf("got %v, %v", token, err)
	}
}

// crash has an instance stop between redemption and commit.
func crash(t *testing.T, w *world, s *site, b *http.Client) {
	t.Helper()
	w.idp.set(func(p *idp) {
		p.token = func(http.ResponseWriter, *http.Request) bool {
			out := "" // from here on this Redis hears nothing of it
			w.out.Store(&out)
			return false
		}
	})
	_, err := s.token(b)
	w.out.Store(nil)
	w.idp.set(func(p *idp) { p.token = nil })
	if err != nil { // the request itself has its token
		t.Fatal(err)
	}
	if s.resolve(b).Properties[".oidc.refreshing"] == "" {
		t.Fatal("the claim is gone: the instance has not crashed where it should")
	}
}

// Where refresh tokens do not rotate, a crash costs half a minute.
func TestTokenOwnerCrashesWithoutRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.rotates = false
	s := w.newSite(keepTokens)
	b := s.signIn()
	w.clock.advance(6 * time.Minute)
	if _, err := s.token(b); err != nil { // it is seen that it does not rotate
		t.Fatal(err)
	}
	w.clock.advance(6 * time.Minute)
	crash(t, w, s, b)
	w.clock.advance(31 * time.Second)
	if token, err := s.token(b); err != nil || token.AccessToken == "" {
		t.Errorf("got %v, %v", token, err)
	}
	if n := w.idp.redemptions()["refresh-1"]; n != 3 {
		t.Errorf("got %d redemptions, want 3", n)
	}
}

// What the provider may answer, and whether the refresh token is good after it.
func TestTokenNotRedeemed(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			w.Write([]byte(body))
			return true
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		spent  bool
	}{
		{"no longer good", status(400, `{"error":"invalid_grant"}`), true},
		{"it may have been taken", status(500, "oops"), true},
		{"no answer", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, true},
		{"an answer that cannot be read", status(200, "<html>"), true},
		{"the client is unknown", status(401, `{"error":"invalid_client","error_description":"geheim"}`), false},
		{"too many requests", status(429, ""), false},
		{"maintenance", status(503, ""), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.newSite(keepTokens)
			b := s.signIn()
			w.clock.advance(6 * time.Minute)
			w.idp.set(func(p *idp) { p.token = tt.answer })
			if _, err := s.token(b); err == nil || errors.Is(err, oidc.ErrSignInAgain) != tt.spent || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v, spent %t", err, tt.spent)
			}
			w.idp.set(func(p *idp) { p.token = nil })
			_, err := s.token(b)
			if tt.spent && !errors.Is(err, oidc.ErrSignInAgain) || !tt.spent && err != nil {
				t.Errorf("then: got %v, spent %t", err, tt.spent)
			}
			if n := w.idp.redemptions()["refresh-1"]; tt.spent && n != 0 || !tt.spent && n != 1 {
				t.Errorf("then: got %d redemptions", n)
			}
			if !s.signedIn(b) {
				t.Error("the session has ended")
			}
		})
	}
}

// The provider cannot be reached: nothing was sent.
func TestTokenProviderIsGone(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(keepTokens)
	b := s.signIn()
	w.clock.advance(6 * time.Minute)
	w.idp.Close()
	for range 2 {
		if _, err := s.token(b); err == nil || errors.Is(err, oidc.ErrSignInAgain) {
			t.Errorf("got %v, want to be told to come again", err)
		}
	}
	if s.resolve(b).Properties[".Token.refresh_token"] != "refresh-1" {
		t.Error("the refresh token is gone")
	}
}

// The client hangs up while the refresh token is under way: it is written down
// all the same.
func TestTokenClientHangsUp(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(keepTokens)
	b := s.signIn()
	w.clock.advance(6 * time.Minute)
	ctx, cancel := context.WithCancel(s.clock.context(t.Context()))
	w.idp.set(func(p *idp) {
		p.token = func(http.ResponseWriter, *http.Request) bool { cancel(); return false }
	})
	if _, err := s.oidc.Token(ctx, s.request(b).WithContext(ctx)); err != nil {
		t.Error(err)
	}
	w.idp.set(func(p *idp) { p.token = nil })
	token, err := s.token(b)
	wantToken(t, token, err, "access-2")
	if n := w.idp.redemptions()["refresh-1"]; n != 1 {
		t.Errorf("got %d redemptions", n)
	}
}

// The store is out when it is claimed: nothing is redeemed; and when the session
// has ended meanwhile, there is none.
func TestTokenWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSite(keepTokens)
	b := s.signIn()
	w.clock.advance(6 * time.Minute)
	s.wrapped(b, func(r *http.Request) {
		w.refuse("", func() {
			if _, err := s.oidc.Token(r.Context(), r); err == nil || errors.Is(err, oidc.ErrSignInAgain) || errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("got %v, want an outage", err)
			}
		})
	})
	if n := len(w.idp.redemptions()); n != 0 {
		t.Errorf("got %d redemptions", n)
	}
	w.idp.set(func(p *idp) {
		p.token = func(http.ResponseWriter, *http.Request) bool {
			if _, err := s.store.RevokeAll(w.clock.context(t.Context()), oidc.Subject(w.idp.URL, "248289761001")); err != nil {
				t.Error(err)
			}
			return false
		}
	})
	if _, err := s.token(b); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("revoked meanwhile: got %v, want ErrNotFound", err)
	}
}

// Other changes of the ticket do not get lost, and nor does the claim.
func TestTokenBesideOtherChanges(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(keepTokens)
	b := s.signIn()
	w.clock.advance(6 * time.Minute)
	w.idp.set(func(p *idp) {
		p.token = func(http.ResponseWriter, *http.Request) bool {
			_, err := s.manager.Renew(s.request(b), func(t *ticketstore.Ticket) error {
				t.Properties["cart"] = "7"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return false
		}
	})
	token, err := s.token(b)
	wantToken(t, token, err, "access-2")
	if p := s.resolve(b).Properties; p["cart"] != "7" || p[".Token.access_token"] != "access-2" {
		t.Errorf("got %v", p)
	}
}
