package oidc_test

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ticketstore/ticketstore/oidc"
)

// request is one of the provider's, of a body.
func (s *site) call(path, contentType, authorization, body string) answer {
	s.t.Helper()
	r, err := http.NewRequest("POST", s.url(path), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return s.do(&http.Client{Transport: s.server.Client().Transport}, r)
}

// revocation returns the bearer of draft-parecki-oauth-global-token-revocation-06,
// section 3.5, with changes.
func (s *site) revocation(typ string, changes map[string]any) string {
	now := s.clock.Now()
	c := map[string]any{
		"iss": s.idp.URL, "sub": "shop", "aud": s.server.URL + "/global-token-revocation", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return "Bearer " + s.idp.signAs(typ, c)
}

func (s *site) revokeGlobally(authorization, body string) answer {
	return s.call("/global-token-revocation", "application/json", authorization, body)
}

func TestGlobalTokenRevocation(t *testing.T) {
	w := newWorld(t)
	w.idp.user["email"] = "Jane@example.com"
	s := w.newSite()
	const typ = "global-token-revocation+jwt"
	issSub := `{"sub_id":{"format":"iss_sub","iss":"` + w.idp.URL + `","sub":"248289761001"}}`
	for name, body := range map[string]string{
		"iss_sub":            issSub,
		"email":              `{"sub_id":{"format":"email","email":"jane@EXAMPLE.com"}}`,
		"as in drafts of 03": strings.Replace(issSub, "sub_id", "subject", 1),
	} {
		phone, laptop := s.signIn(), s.signIn()
		if a := s.revokeGlobally(s.revocation(typ, nil), body); a.status != 204 || a.body != "" || s.signedIn(phone) || s.signedIn(laptop) {
			t.Errorf("%s: got %d, signed in %t, %t: %s", name, a.status, s.signedIn(phone), s.signedIn(laptop), a.body)
		}
		w.clock.advance(2 * time.Second)
	}
	b := s.signIn()
	other := map[string]any{"format": "iss_sub", "iss": "https://evil.example", "sub": "248289761001"}
	otherJSON, _ := json.Marshal(map[string]any{"sub_id": other})
	now := w.clock.Now()
	for _, tt := range []struct {
		name, authorization, body string
		status                    int
	}{
		{"no credentials", "", issSub, 401},
		{"not a bearer", "Basic c2hvcDpnZWhlaW0=", issSub, 401},
		{"not a token", "Bearer x", issSub, 401},
		{"another type", s.revocation("logout+jwt", nil), issSub, 401},
		{"another issuer", s.revocation(typ, map[string]any{"iss": "https://evil.example"}), issSub, 401},
		{"another endpoint", s.revocation(typ, map[string]any{"aud": "https://bank.example/global-token-revocation"}), issSub, 401},
		{"an audience that is the client, as an ID token has", s.revocation(typ, map[string]any{"aud": "shop"}), issSub, 401},
		{"expired", s.revocation(typ, map[string]any{"exp": now.Add(-time.Second).Unix()}), issSub, 401},
		{"no exp", s.revocation(typ, map[string]any{"exp": nil}), issSub, 401},
		{"an exp far away", s.revocation(typ, map[string]any{"exp": now.Add(2 * time.Hour).Unix()}), issSub, 401},
		{"no iat", s.revocation(typ, map[string]any{"iat": nil}), issSub, 401},
		{"an iat in the future", s.revocation(typ, map[string]any{"iat": now.Add(2 * time.Minute).Unix()}), issSub, 401},
		{"no jti", s.revocation(typ, map[string]any{"jti": nil}), issSub, 401},
		{"HS256 by the public key", "Bearer " + w.idp.signWith(jose.SigningKey{Algorithm: jose.HS256, Key: publicPEM(w.idp)}, "rsa", typ, nil), issSub, 401},
		{"another caller", s.revocation(typ, map[string]any{"sub": "bank"}), issSub, 403},
		{"no body", s.revocation(typ, nil), "", 400},
		{"no subject", s.revocation(typ, nil), "{}", 400},
		{"an unknown format", s.revocation(typ, nil), `{"sub_id":{"format":"phone_number","phone_number":"+1"}}`, 400},
		{"half a subject", s.revocation(typ, nil), `{"sub_id":{"format":"iss_sub","sub":"248289761001"}}`, 400},
		{"a huge body", s.revocation(typ, nil), `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 400},
		{"a user of another issuer", s.revocation(typ, nil), string(otherJSON), 404},
	} {
		a := s.revokeGlobally(tt.authorization, tt.body)
		if a.status != tt.status || !s.signedIn(b) {
			t.Errorf("%s: got %d, want %d; signed in %t: %s", tt.name, a.status, tt.status, s.signedIn(b), a.body)
		}
		if a.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: got no challenge", tt.name)
		}
	}
	if a := s.call("/global-token-revocation", "text/plain", s.revocation(typ, nil), issSub); a.status != 400 {
		t.Errorf("text/plain: got %d", a.status)
	}
	// A replay ends nothing, and is refused; an outage is none.
	bearer := s.revocation(typ, nil)
	var a answer
	w.refuse("", func() { a = s.revokeGlobally(bearer, issSub) })
	if a.status != 503 {
		t.Errorf("without store: got %d", a.status)
	}
	if a := s.revokeGlobally(bearer, issSub); a.status != 204 || s.signedIn(b) {
		t.Errorf("then: got %d: %s", a.status, a.body)
	}
	w.clock.advance(2 * time.Second)
	b = s.signIn()
	if a := s.revokeGlobally(bearer, issSub); a.status != 401 || !s.signedIn(b) {
		t.Errorf("again: got %d, signed in %t", a.status, s.signedIn(b))
	}
	// A sign-in under way does not escape.
	w.clock.advance(2 * time.Second)
	if a := s.revokeGlobally(s.revocation(typ, nil), issSub); a.status != 204 {
		t.Errorf("got %d", a.status)
	}
	w.idp.set(func(p *idp) { p.change = func(c map[string]any) { c["iat"] = w.clock.Now().Unix() - 1 } })
	if a := s.get(s.browser(), "/login"); a.status != 409 {
		t.Errorf("a sign-in that began before: got %d", a.status)
	}
}

// event returns a security event token, with changes.
func (s *site) event(typ, name string, event, changes map[string]any) string {
	now := s.clock.Now()
	c := map[string]any{
		"iss": s.idp.URL, "aud": "shop", "iat": now.Unix(), "jti": rand.Text(),
		"sub_id": map[string]any{"format": "iss_sub", "iss": s.idp.URL, "sub": "248289761001"},
		"events": map[string]any{name: event},
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return s.idp.signAs(typ, c)
}

func (s *site) push(token string) answer {
	return s.call("/events", "application/secevent+jwt", "", token)
}

func TestSecurityEvents(t *testing.T) {
	w := newWorld(t)
	w.idp.user["email"] = "jane@example.com"
	s := w.newSite()
	const typ = "secevent+jwt"
	sid := map[string]any{"format": "opaque", "id": "08a5019c-17e1-4977-8f42-65a12843ea02"}
	user := map[string]any{"format": "iss_sub", "iss": w.idp.URL, "sub": "248289761001"}
	for i, tt := range []struct {
		name  string
		event string
		body  map[string]any
		set   map[string]any
		ends  bool
	}{
		{"session revoked", caepType + "session-revoked", map[string]any{"event_timestamp": float64(w.clock.Now().Unix()) + 7200}, nil, true},
		{"by email", caepType + "session-revoked", nil, map[string]any{"sub_id": map[string]any{"format": "email", "email": "jane@example.com"}}, true},
		{"of a session", caepType + "session-revoked", nil, map[string]any{"sub_id": map[string]any{"format": "complex", "user": user, "session": sid}}, true},
		{"of another session", caepType + "session-revoked", nil, map[string]any{"sub_id": map[string]any{"format": "complex", "user": user, "session": map[string]any{"format": "opaque", "id": "2"}}}, false},
		{"of a user and a device", caepType + "session-revoked", nil, map[string]any{"sub_id": map[string]any{"user": user, "device": sid}}, true},
		{"as drafts had it", caepType + "session-revoked", map[string]any{"subject": user, "event_timestamp": w.clock.Now().Add(time.Hour).UnixMilli()}, map[string]any{"sub_id": nil}, true},
		{"before the session began", caepType + "session-revoked", map[string]any{"event_timestamp": w.clock.Now().Add(-time.Hour).Unix()}, nil, false},
		{"a new password", caepType + "credential-change", map[string]any{"credential_type": "password", "change_type": "update"}, nil, true},
		{"a key is gone", caepType + "credential-change", map[string]any{"credential_type": "fido2-roaming", "change_type": "revoke"}, nil, true},
		{"one more key", caepType + "credential-change", map[string]any{"credential_type": "fido2-roaming", "change_type": "create"}, nil, false},
		{"the account is disabled", "https://schemas.openid.net/secevent/risc/event-type/account-disabled", nil, nil, true},
		{"something else", caepType + "device-compliance-change", nil, nil, false},
		{"a verification", "https://schemas.openid.net/secevent/ssf/event-type/verification", map[string]any{"state": "x"}, map[string]any{"sub_id": map[string]any{"format": "opaque", "id": "stream"}}, false},
	} {
		w.idp.set(func(p *idp) { p.user["sid"] = sid["id"].(string) + string(rune('a'+i)) })
		if tt.name == "of a session" {
			sid["id"] = w.idp.user["sid"]
		}
		b := s.signIn()
		body := map[string]any{}
		maps.Copy(body, tt.body)
		a := s.push(s.event(typ, tt.event, body, tt.set))
		if a.status != 202 || a.body != "" || s.signedIn(b) == tt.ends {
			t.Errorf("%s: got %d, signed in %t, want the end %t: %s", tt.name, a.status, s.signedIn(b), tt.ends, a.body)
		}
		w.clock.advance(2 * time.Second)
	}
	w.idp.set(func(p *idp) { p.user["sid"] = "last" })
	b := s.signIn()
	const revoked = caepType + "session-revoked"
	for _, tt := range []struct{ name, token, err string }{
		{"not a token", "x", "invalid_request"},
		{"no type", s.event("", revoked, map[string]any{}, nil), "invalid_request"},
		{"another type", s.event("logout+jwt", revoked, map[string]any{}, nil), "invalid_request"},
		{"another issuer", s.event(typ, revoked, map[string]any{}, map[string]any{"iss": "https://evil.example"}), "invalid_issuer"},
		{"another audience", s.event(typ, revoked, map[string]any{}, map[string]any{"aud": "bank"}), "invalid_audience"},
		{"another's signature", s.event(typ, revoked, map[string]any{}, nil) + "A", "invalid_key"},
		{"no jti", s.event(typ, revoked, map[string]any{}, map[string]any{"jti": nil}), "invalid_request"},
		{"no iat", s.event(typ, revoked, map[string]any{}, map[string]any{"iat": nil}), "invalid_request"},
		{"an iat in the future", s.event(typ, revoked, map[string]any{}, map[string]any{"iat": w.clock.Now().Add(time.Hour).Unix()}), "invalid_request"},
		{"expired", s.event(typ, revoked, map[string]any{}, map[string]any{"exp": 1}), "invalid_request"},
		{"two events", s.event(typ, revoked, map[string]any{}, map[string]any{"events": map[string]any{revoked: map[string]any{}, caepType + "credential-change": map[string]any{}}}), "invalid_request"},
		{"no event", s.event(typ, revoked, map[string]any{}, map[string]any{"events": map[string]any{}}), "invalid_request"},
		{"no subject", s.event(typ, revoked, map[string]any{}, map[string]any{"sub_id": nil}), "invalid_request"},
		{"a user of another issuer", s.event(typ, revoked, map[string]any{}, map[string]any{"sub_id": map[string]any{"format": "iss_sub", "iss": "https://evil.example", "sub": "248289761001"}}), "invalid_request"},
		{"a subject within subjects", s.event(typ, revoked, map[string]any{}, map[string]any{"sub_id": map[string]any{"user": map[string]any{"format": "complex", "user": user}}}), "invalid_request"},
		{"an event that is no object", s.event(typ, revoked, map[string]any{}, map[string]any{"events": map[string]any{revoked: 7}}), "invalid_request"},
		{"huge", strings.Repeat("x", 1<<20), "invalid_request"},
		{"HS256 by the public key", w.idp.signWith(jose.SigningKey{Algorithm: jose.HS256, Key: publicPEM(w.idp)}, "rsa", typ, nil), "invalid_request"},
	} {
		a := s.push(tt.token)
		if a.status != 400 || a.header.Get("Content-Language") != "en" || !s.signedIn(b) {
			t.Errorf("%s: got %d, signed in %t: %s", tt.name, a.status, s.signedIn(b), a.body)
		} else if m := decodeJSON(t, a.body); m["err"] != tt.err || m["description"] == "" {
			t.Errorf("%s: got %v, want %s", tt.name, m, tt.err)
		}
	}
	token := s.event(typ, revoked, map[string]any{}, nil)
	if a := s.call("/events", "application/jwt", "", token); a.status != 400 {
		t.Errorf("another Content-Type: got %d", a.status)
	}
	var a answer
	w.refuse("", func() { a = s.push(token) })
	if a.status != 503 || !s.signedIn(b) {
		t.Errorf("without store: got %d", a.status)
	}
	// RFC 8935, section 2: an event may come again.
	for range 2 {
		if a := s.push(token); a.status != 202 || s.signedIn(b) {
			t.Errorf("got %d: %s", a.status, a.body)
		}
	}
}

// A transmitter of its own has its own issuer, audience and keys.
func TestTransmitter(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	s.mux.Handle("/transmitter", s.oidc.SecurityEvents(oidc.Transmitter{
		Issuer: "https://events.example", Audience: "https://shop.example/events", JWKSURL: w.idp.URL + "/jwks",
	}))
	b := s.signIn()
	token := s.event("secevent+jwt", caepType+"session-revoked", map[string]any{}, map[string]any{"iss": "https://events.example", "aud": []string{"https://shop.example/events"}})
	if a := s.push(token); a.status != 400 {
		t.Errorf("at the provider's own: got %d", a.status)
	}
	if a := s.call("/transmitter", "application/secevent+jwt", "", token); a.status != 202 || s.signedIn(b) {
		t.Errorf("got %d: %s", a.status, a.body)
	}
}

func FuzzGlobalTokenRevocation(f *testing.F) {
	w := newWorld(f)
	s := w.newSite()
	f.Add(`{"sub_id":{"format":"iss_sub","iss":"` + w.idp.URL + `","sub":"248289761001"}}`)
	f.Add(`{"subject":{"user":{"format":"email","email":"jane@example.com"}}}`)
	f.Add(`{"sub_id":{"format":"complex","session":{"format":"opaque","id":"\u0000"}}}`)
	f.Add(`{"sub_id":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(w.clock.context(t.Context()), "POST", "/global-token-revocation", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", s.revocation("", nil))
		rec := httptest.NewRecorder()
		s.mux.ServeHTTP(rec, r)
		if rec.Code != 204 && rec.Code != 400 && rec.Code != 404 {
			t.Errorf("got %d for %q: %s", rec.Code, body, rec.Body)
		}
	})
}
