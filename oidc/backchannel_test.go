package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

const caepType = "https://schemas.openid.net/secevent/caep/event-type/"

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims returns those of OpenID Connect Back-Channel Logout 1.0, section
// 2.4, with changes; nil takes one out.
func (p *idp) logoutClaims(changes map[string]any) map[string]any {
	now := p.clock.Now()
	c := map[string]any{
		"iss": p.URL, "sub": "248289761001", "aud": "shop", "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"jti": rand.Text(), "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (p *idp) logoutToken(typ string, changes map[string]any) string {
	return p.signAs(typ, p.logoutClaims(changes))
}

// logout is a request of the provider's. It comes from no browser.
func (s *site) logout(token string) answer {
	s.t.Helper()
	return s.post(&http.Client{Transport: s.server.Client().Transport}, "/backchannel-logout", url.Values{"logout_token": {token}})
}

func TestBackChannelLogout(t *testing.T) {
	w := newWorld(t)
	s, other := w.newSite(), w.newSite()
	b := s.signIn()
	w.idp.set(func(p *idp) { p.user["sid"] = "another" })
	laptop := s.signIn()
	w.idp.set(func(p *idp) { p.user["sub"], p.user["sid"] = "bob", "bob's" })
	bob := s.signIn()

	// By sid, at another instance: section 2.8.
	a := other.logout(w.idp.logoutToken("logout+jwt", nil))
	if a.status != 200 || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, %q, %v", a.status, a.body, a.header)
	}
	if s.signedIn(b) || !s.signedIn(laptop) || !s.signedIn(bob) {
		t.Errorf("by sid: got %t, %t, %t, want the first one out", s.signedIn(b), s.signedIn(laptop), s.signedIn(bob))
	}
	// Once more, by another token: it has succeeded.
	if a := s.logout(w.idp.logoutToken("logout+jwt", nil)); a.status != 200 {
		t.Errorf("a user who is out: got %d: %s", a.status, a.body)
	}
	// By sub.
	if a := s.logout(w.idp.logoutToken("logout+jwt", map[string]any{"sid": nil})); a.status != 200 || s.signedIn(laptop) || !s.signedIn(bob) {
		t.Errorf("by sub: got %d, %t, %t", a.status, s.signedIn(laptop), s.signedIn(bob))
	}
	// By sid without sub.
	if a := s.logout(w.idp.logoutToken("logout+jwt", map[string]any{"sub": nil, "sid": "bob's"})); a.status != 200 || s.signedIn(bob) {
		t.Errorf("by sid alone: got %d, %t", a.status, s.signedIn(bob))
	}
}

// The example of section 2.4, with the times of now.
func TestSpecificationsExample(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	now := w.clock.Now().Unix()
	var claims map[string]any
	err := json.Unmarshal(fmt.Appendf(nil, `{
   "iss": %q,
   "sub": "248289761001",
   "aud": "shop",
   "iat": %d,
   "exp": %d,
   "jti": "bWJq",
   "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
   "events": {
     "http://schemas.openid.net/event/backchannel-logout": {}
     }
  }`, w.idp.URL, now, now+120), &claims)
	if err != nil {
		t.Fatal(err)
	}
	if a := s.logout(w.idp.signAs("logout+jwt", claims)); a.status != 200 || s.signedIn(b) {
		t.Errorf("got %d: %s", a.status, a.body)
	}
}

// A hostile is a logout token that is refused, for a rule of the specification.
type hostile struct {
	rule string // the step of section 2.6, or another
	name string
	make func(p *idp) string
	want string // in error_description
}

func changed(typ string, changes map[string]any) func(*idp) string {
	return func(p *idp) string { return p.logoutToken(typ, changes) }
}

func signed(alg jose.SignatureAlgorithm, keyID string, key func(p *idp) any) func(*idp) string {
	return func(p *idp) string {
		return p.signWith(jose.SigningKey{Algorithm: alg, Key: key(p)}, keyID, "logout+jwt", p.logoutClaims(nil))
	}
}

func publicPEM(p *idp) any {
	der, err := x509.MarshalPKIXPublicKey(p.rsa.Public())
	if err != nil {
		p.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

var hostiles = []hostile{
	{"2.6, 1", "encrypted", func(p *idp) string {
		e, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: p.rsa.Public()}, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		jwe, err := e.Encrypt([]byte(p.logoutToken("logout+jwt", nil)))
		if err != nil {
			p.t.Fatal(err)
		}
		s, err := jwe.CompactSerialize()
		if err != nil {
			p.t.Fatal(err)
		}
		return s
	}, "no token"},
	{"2.6, 2", "another's signature by a known key ID", func(p *idp) string {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			p.t.Fatal(err)
		}
		return signed(jose.RS256, "rsa", func(*idp) any { return key })(p)
	}, "signature"},
	{"2.6, 2", "claims changed after signing", func(p *idp) string {
		part := strings.Split(p.logoutToken("logout+jwt", nil), ".")
		payload, _ := json.Marshal(p.logoutClaims(map[string]any{"sid": "bob's"}))
		return part[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + part[2]
	}, "signature"},
	{"2.6, 2", "no signature", func(p *idp) string {
		part := strings.Split(p.logoutToken("logout+jwt", nil), ".")
		return part[0] + "." + part[1] + "."
	}, "signature"},
	{"2.6, 2", "the JSON serialization", func(p *idp) string {
		part := strings.Split(p.logoutToken("logout+jwt", nil), ".")
		return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, part[1], part[0], part[2])
	}, "no token"},
	{"2.6, 3", "alg none", func(p *idp) string {
		part := strings.Split(p.logoutToken("logout+jwt", nil), ".")
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"logout+jwt"}`)) + "." + part[1] + "."
	}, "asymmetric"},
	{"2.6, 3", "HS256 by the public key", signed(jose.HS256, "rsa", publicPEM), "asymmetric"},
	{"2.6, 3", "HS256 by the client secret", signed(jose.HS256, "rsa", func(*idp) any { return []byte("geheimgeheimgeheimgeheimgeheimge") }), "asymmetric"},
	{"2.6, 3", "an algorithm that the provider has not announced", signed(jose.PS256, "rsa", func(p *idp) any { return p.rsa }), "PS256"},
	{"2.6, 4", "another issuer", changed("logout+jwt", map[string]any{"iss": "https://evil.example"}), "different provider"},
	{"2.6, 4", "no issuer", changed("logout+jwt", map[string]any{"iss": nil}), "different provider"},
	{"2.6, 4", "another audience", changed("logout+jwt", map[string]any{"aud": "bank"}), "audience"},
	{"2.6, 4", "no audience", changed("logout+jwt", map[string]any{"aud": nil}), "audience"},
	{"2.6, 4", "expired", changed("logout+jwt", map[string]any{"exp": 1}), "expired"},
	{"2.6, 4", "no exp", changed("logout+jwt", map[string]any{"exp": nil}), "exp"},
	{"2.6, 4", "an old iat", func(p *idp) string {
		return p.logoutToken("logout+jwt", map[string]any{"iat": p.clock.Now().Add(-301 * time.Second).Unix()})
	}, "too long"},
	{"2.6, 4", "an iat in the future", func(p *idp) string {
		return p.logoutToken("logout+jwt", map[string]any{"iat": p.clock.Now().Add(62 * time.Second).Unix()})
	}, "ahead"},
	{"2.6, 4", "no iat", changed("logout+jwt", map[string]any{"iat": nil}), "no iat"},
	{"2.6, 5", "neither sid nor sub", changed("logout+jwt", map[string]any{"sid": nil, "sub": nil}), "sub"},
	{"2.6, 5", "empty sid and sub", changed("logout+jwt", map[string]any{"sid": "", "sub": ""}), "sub"},
	{"2.6, 5", "a sub that is no string", changed("logout+jwt", map[string]any{"sub": 7}), "parsing"},
	{"2.6, 6", "no events", changed("logout+jwt", map[string]any{"events": nil}), "event"},
	{"2.6, 6", "another event", changed("logout+jwt", map[string]any{"events": map[string]any{caepType + "session-revoked": map[string]any{}}}), "event"},
	{"2.6, 6", "two events", changed("logout+jwt", map[string]any{"events": map[string]any{logoutEvent: map[string]any{}, caepType + "session-revoked": map[string]any{}}}), "too"},
	{"2.6, 6", "an event that is no object", changed("logout+jwt", map[string]any{"events": map[string]any{logoutEvent: true}}), "no object"},
	{"2.6, 6", "an event that is null", changed("logout+jwt", map[string]any{"events": map[string]any{logoutEvent: nil}}), "no object"},
	{"2.6, 6", "events that are an array", changed("logout+jwt", map[string]any{"events": []string{logoutEvent}}), "parsing"},
	{"2.6, 6", "the event in other letters", changed("logout+jwt", map[string]any{"events": map[string]any{strings.ToUpper(logoutEvent): map[string]any{}}}), "no object"},
	{"2.6, 7", "a nonce", changed("logout+jwt", map[string]any{"nonce": "n-0S6_WzA2Mj"}), "nonce"},
	{"2.6, 7", "an empty nonce", changed("logout+jwt", map[string]any{"nonce": ""}), "nonce"},
	{"2.6, 8", "no jti", changed("logout+jwt", map[string]any{"jti": nil}), "jti"},
	{"2.4", "the type of an access token", changed("at+jwt", nil), "typ"},
	{"2.4", "the type of a security event", changed("secevent+jwt", nil), "typ"},
	{"Core 2", "an ID token", func(p *idp) string {
		now := p.clock.Now()
		return p.sign(map[string]any{
			"iss": p.URL, "sub": "248289761001", "aud": "shop", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
			"sid": "08a5019c-17e1-4977-8f42-65a12843ea02", "nonce": "n-0S6_WzA2Mj",
		})
	}, "event"},
	{"2.5", "no token", func(*idp) string { return "" }, "logout_token"},
	{"2.5", "not a token", func(*idp) string { return "a.b.c" }, "no token"},
	{"2.5", "a huge token", func(p *idp) string {
		return p.logoutToken("logout+jwt", map[string]any{"padding": strings.Repeat("x", 1<<20)})
	}, "too large"},
}

func TestHostileLogoutTokens(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	fetched, keys := w.idp.asked(), w.redis.Keys()
	for _, tt := range hostiles {
		t.Run(tt.rule+" "+tt.name, func(t *testing.T) {
			a := s.logout(tt.make(w.idp))
			if a.status != 400 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s: got %d, %v: %s", tt.rule, a.status, a.header, a.body)
			}
			m := decodeJSON(t, a.body)
			if d, _ := m["error_description"].(string); m["error"] != "invalid_request" || !strings.Contains(d, tt.want) {
				t.Errorf("%s: got %v, want %q", tt.rule, m, tt.want)
			}
			if !s.signedIn(b) {
				t.Fatalf("%s: the user is signed out", tt.rule)
			}
		})
	}
	// Those whose signature does not verify could each have cost a request.
	if n := w.idp.asked() - fetched; n > 1 {
		t.Errorf("the provider was asked for its keys %d times", n)
	}
	if after := w.redis.Keys(); !slices.Equal(after, keys) {
		t.Errorf("got keys %q, want %q", after, keys)
	}
	// The very next one that is right is taken: 2.6, 3: ES256 is announced, too.
	ec := signed(jose.ES256, "ec", func(p *idp) any { return p.ec })(w.idp)
	if a := s.logout(ec); a.status != 200 || s.signedIn(b) {
		t.Errorf("got %d: %s", a.status, a.body)
	}
}

// What the specification allows.
func TestHarmlessLogoutTokens(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	for name, token := range map[string]func(*idp) string{
		"2.4: no typ":                   changed("", nil),
		"2.4: typ JWT":                  changed("JWT", nil),
		"2.4: typ with application/":    changed("application/logout+jwt", nil),
		"2.4: other claims are ignored": changed("logout+jwt", map[string]any{"trace_id": 7}),
		"2.4: several audiences":        changed("logout+jwt", map[string]any{"aud": []string{"bank", "shop"}}),
		"2.4: members of the event":     changed("logout+jwt", map[string]any{"events": map[string]any{logoutEvent: map[string]any{"a": 1}}}),
		"Keycloak: a member beside":     changed("logout+jwt", map[string]any{"events": map[string]any{logoutEvent: map[string]any{}, "revoke_offline_access": true}}),
		"an iat of a clock a little ahead": func(p *idp) string {
			return p.logoutToken("", map[string]any{"iat": p.clock.Now().Add(50 * time.Second).Unix()})
		},
		"an iat as old as may be": func(p *idp) string {
			return p.logoutToken("", map[string]any{"iat": p.clock.Now().Add(-299 * time.Second).Unix()})
		},
		"an iat with a fraction": func(p *idp) string {
			return p.logoutToken("", map[string]any{"iat": float64(p.clock.Now().Unix()) + .5})
		},
		"no key ID, tried with all of them": func(p *idp) string {
			return p.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: p.rsa}, "", "", p.logoutClaims(nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.idp.set(func(p *idp) { p.user["sid"] = name })
			b := s.signIn()
			p := w.idp
			raw := token(p)
			// The sid of this session.
			part := strings.Split(raw, ".")
			payload, _ := base64.RawURLEncoding.DecodeString(part[1])
			claims := decodeJSON(t, string(payload))
			claims["sid"] = name
			h, _ := base64.RawURLEncoding.DecodeString(part[0])
			header := decodeJSON(t, string(h))
			typ, _ := header["typ"].(string)
			kid, _ := header["kid"].(string)
			if a := s.logout(p.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: p.rsa}, kid, typ, claims)); a.status != 200 || s.signedIn(b) {
				t.Errorf("got %d, signed in %t: %s", a.status, s.signedIn(b), a.body)
			}
		})
	}
}

// Section 2.5: how the request is made.
func TestLogoutRequest(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	client := &http.Client{Transport: s.server.Client().Transport}
	token := w.idp.logoutToken("logout+jwt", nil)
	form := url.Values{"logout_token": {token}}
	for name, r := range map[string]struct {
		method, path, contentType, body string
		want                            int
	}{
		"GET":              {"GET", "?" + form.Encode(), "", "", 405},
		"in the query":     {"POST", "?" + form.Encode(), "application/x-www-form-urlencoded", "", 400},
		"as JSON":          {"POST", "", "application/json", `{"logout_token":"` + token + `"}`, 400},
		"no Content-Type":  {"POST", "", "", form.Encode(), 400},
		"two tokens":       {"POST", "", "application/x-www-form-urlencoded", form.Encode() + "&" + form.Encode(), 400},
		"something broken": {"POST", "", "application/x-www-form-urlencoded", "logout_token=%zz", 400},
	} {
		req, _ := http.NewRequest(r.method, s.url("/backchannel-logout"+r.path), strings.NewReader(r.body))
		req.Header.Set("Content-Type", r.contentType)
		if a := s.do(client, req); a.status != r.want {
			t.Errorf("%s: got %d, want %d: %s", name, a.status, r.want, a.body)
		}
	}
	if !s.signedIn(b) {
		t.Fatal("the user is signed out")
	}
	// Other parameters are ignored, and no browser is needed.
	form.Set("other", "x")
	if a := s.post(client, "/backchannel-logout", form); a.status != 200 || s.signedIn(b) {
		t.Errorf("got %d: %s", a.status, a.body)
	}
}

// 2.6, 8: a jti that comes twice is refused, by any instance.
func TestReplayedLogoutToken(t *testing.T) {
	w := newWorld(t)
	s, other := w.newSite(), w.newSite()
	w.idp.set(func(p *idp) { delete(p.user, "sid") })
	token := w.idp.logoutToken("logout+jwt", map[string]any{"sid": nil, "exp": w.clock.Now().Add(time.Hour).Unix()})
	if a := s.logout(token); a.status != 200 {
		t.Fatalf("got %d: %s", a.status, a.body)
	}
	w.clock.advance(2 * time.Second)
	b := s.signIn()
	for _, s := range []*site{s, other} {
		if a := s.logout(token); a.status != 400 || !strings.Contains(a.body, "jti") {
			t.Errorf("got %d: %s", a.status, a.body)
		}
	}
	// By the time that it is forgotten, the token is too old.
	for range 10 {
		w.clock.advance(time.Minute)
		if a := other.logout(token); a.status != 400 {
			t.Errorf("later: got %d: %s", a.status, a.body)
		}
	}
	if !s.signedIn(b) {
		t.Error("a session that began later has ended")
	}
	// Of twenty at once, one is told that it has succeeded.
	token = w.idp.logoutToken("logout+jwt", nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	for i := range 20 {
		wg.Go(func() {
			a := []*site{s, other}[i%2].logout(token)
			mu.Lock()
			got[a.status]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if got[200] != 1 || got[400] != 19 {
		t.Errorf("at once: got %v, want one 200", got)
	}
}

// A logout that arrives while the code is redeemed ends the sign-in.
func TestLogoutOvertakesSignIn(t *testing.T) {
	for name, changes := range map[string]map[string]any{"by sid": nil, "by sub": {"sid": nil}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var overtake func()
			s := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) {
				c.Accept = func(context.Context, *oidc.SignIn) error { overtake(); return nil }
			})
			overtake = func() {
				w.clock.advance(time.Second)
				if a := s.logout(w.idp.logoutToken("logout+jwt", changes)); a.status != 200 {
					t.Errorf("logout: got %d: %s", a.status, a.body)
				}
			}
			b := s.browser()
			a := s.get(b, "/login?ReturnUrl=%2Fme")
			if a.status != 409 || !strings.Contains(a.body, "For support: ended") || !strings.Contains(a.body, "Try again") || s.signedIn(b) {
				t.Errorf("got %d, signed in %t: %s", a.status, s.signedIn(b), a.body)
			}
			if n := len(s.sessions("248289761001")); n != 0 {
				t.Errorf("got %d sessions, want none", n)
			}
			// The next sign-in, at a new session of the provider, is another.
			overtake = func() {}
			w.clock.advance(time.Second)
			w.idp.set(func(p *idp) { p.user["sid"] = "new" })
			if a := s.get(b, "/login?ReturnUrl=%2Fme"); a.status != 200 {
				t.Errorf("again: got %d: %s", a.status, a.body)
			}
			// But the old sid is over, whatever the provider says of it.
			if changes == nil {
				w.idp.set(func(p *idp) { p.user["sid"] = "08a5019c-17e1-4977-8f42-65a12843ea02" })
				if a := s.get(s.browser(), "/login"); a.status != 409 {
					t.Errorf("by the sid that has ended: got %d", a.status)
				}
			}
		})
	}
}

// A logout of all sessions that comes late ends none that began after it.
func TestLateLogout(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	old := s.signIn()
	late := w.idp.logoutToken("logout+jwt", map[string]any{"sid": nil, "exp": w.clock.Now().Add(time.Hour).Unix()})
	revocation := s.revocation("", map[string]any{"exp": w.clock.Now().Add(10 * time.Minute).Unix()})
	w.clock.advance(2 * time.Minute)
	b := s.signIn()
	if a := s.logout(late); a.status != 200 || s.signedIn(old) || !s.signedIn(b) {
		t.Errorf("got %d; signed in: the old one %t, the new one %t", a.status, s.signedIn(old), s.signedIn(b))
	}
	body := `{"sub_id":{"format":"iss_sub","iss":"` + w.idp.URL + `","sub":"248289761001"}}`
	if a := s.revokeGlobally(revocation, body); a.status != 204 || !s.signedIn(b) {
		t.Errorf("global token revocation: got %d, signed in %t", a.status, s.signedIn(b))
	}
}

// The account is disabled while the callback talks to the provider.
func TestRevokedDuringSignIn(t *testing.T) {
	w := newWorld(t)
	var s *site
	s = w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) {
		c.Accept = func(ctx context.Context, si *oidc.SignIn) error {
			w.clock.advance(time.Second)
			_, err := s.store.RevokeAll(w.clock.context(context.Background()), si.Ticket.Subject)
			w.clock.advance(time.Second)
			return err
		}
	})
	b := s.browser()
	if a := s.get(b, "/login"); a.status != 409 || s.signedIn(b) {
		t.Errorf("got %d, signed in %t", a.status, s.signedIn(b))
	}
}

// The store is out: the provider is told to try again, and may.
func TestLogoutWithoutStore(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	token := w.idp.logoutToken("logout+jwt", nil)
	for _, command := range []string{"", "ZREM", "SET"} { // all; half-way; when all is done
		var a answer
		w.refuse(command, func() { a = s.logout(token) })
		if a.status != 503 || a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("without %q: got %d, %v: %s", command, a.status, a.header, a.body)
		}
	}
	if a := s.logout(token); a.status != 200 || s.signedIn(b) {
		t.Errorf("then: got %d, signed in %t: %s", a.status, s.signedIn(b), a.body)
	}
	if a := s.logout(token); a.status != 400 {
		t.Errorf("at last: got %d: %s", a.status, a.body)
	}
}

// The keys of the provider are out, or slow: 503 in time, and it is not asked
// more often than before.
func TestKeysAreOut(t *testing.T) {
	for name, jwks := range map[string]func(http.ResponseWriter) bool{
		"failing": func(w http.ResponseWriter) bool { w.WriteHeader(500); return true },
		"broken":  func(w http.ResponseWriter) bool { fmt.Fprint(w, "<html>"); return true },
		"huge":    func(w http.ResponseWriter) bool { fmt.Fprint(w, strings.Repeat(" ", 2<<20)); return true },
		"a key that is broken": func(w http.ResponseWriter) bool {
			fmt.Fprint(w, `{"keys":[{"kty":"RSA","kid":"rsa","n":"!"}]}`)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.idp.set(func(p *idp) { p.jwks = jwks })
			s := w.newSite()
			for range 20 {
				a := s.logout(w.idp.logoutToken("logout+jwt", nil))
				if a.status != 503 || a.header.Get("Retry-After") == "" {
					t.Fatalf("got %d: %s", a.status, a.body)
				}
			}
			if w.idp.asked() != 1 {
				t.Errorf("the provider was asked %d times", w.idp.asked())
			}
			if a := s.get(s.browser(), "/login"); a.status != 503 || !strings.Contains(a.body, "For support: keys") {
				t.Errorf("sign-in: got %d: %s", a.status, a.body)
			}
			w.idp.set(func(p *idp) { p.jwks = nil })
			w.clock.advance(6 * time.Second)
			b := s.signIn()
			if a := s.logout(w.idp.logoutToken("logout+jwt", nil)); a.status != 200 || s.signedIn(b) {
				t.Errorf("then: got %d: %s", a.status, a.body)
			}
		})
	}
}

func TestKeysAreSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	defer close(release)
	w.idp.set(func(p *idp) { p.jwks = func(http.ResponseWriter) bool { <-release; return true } })
	s := w.newSite()
	began := time.Now()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if a := s.logout(w.idp.logoutToken("logout+jwt", nil)); a.status != 503 {
				t.Errorf("got %d: %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 30*time.Second { // 5 s, and a busy machine
		t.Errorf("it took %v", took)
	}
	if w.idp.asked() != 1 {
		t.Errorf("the provider was asked %d times", w.idp.asked())
	}
}

// Tokens by unknown keys, at any rate, cost the provider one request in a while;
// and a new key of the provider is found all the same.
func TestUnknownKeys(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	before := w.idp.asked()
	got := map[int]int{}
	for i := range 100 {
		got[s.logout(signed(jose.RS256, fmt.Sprint("unknown-", i), func(p *idp) any { return p.rsa })(w.idp)).status]++
	}
	if n := w.idp.asked() - before; n > 1 {
		t.Errorf("100 tokens cost the provider %d requests", n)
	}
	if got[200] != 0 || got[503] < 99 {
		t.Errorf("got %v, want 503: a new key may have come", got)
	}
	// The provider has a new key, and signs by it at once.
	w.idp.set(func(p *idp) {
		p.jwks = func(w http.ResponseWriter) bool {
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.rsa.Public(), KeyID: "new"}}})
			return true
		}
	})
	token := signed(jose.RS256, "new", func(p *idp) any { return p.rsa })(w.idp)
	if a := s.logout(token); a.status != 503 {
		t.Errorf("so soon: got %d", a.status)
	}
	w.clock.advance(6 * time.Second)
	if a := s.logout(token); a.status != 200 || s.signedIn(b) {
		t.Errorf("then: got %d: %s", a.status, a.body)
	}
}

func FuzzBackChannelLogout(f *testing.F) {
	w := newWorld(f)
	for _, h := range hostiles {
		f.Add(h.make(w.idp))
	}
	s := w.newSite()
	f.Fuzz(func(t *testing.T, token string) {
		r := httptest.NewRequestWithContext(w.clock.context(t.Context()), "POST", "/backchannel-logout", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		s.oidc.BackChannelLogout().ServeHTTP(rec, r)
		if rec.Code != 400 && rec.Code != 503 {
			t.Errorf("got %d for %q", rec.Code, token)
		}
	})
}
