package oidc

import (
	"cmp"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
	"golang.org/x/oauth2"
)

const (
	attemptLasts   = 15 * time.Minute
	maxAttempts    = 5    // tabs of a browser that sign in at once
	maxReturn      = 1024 // bytes; in the cookie that becomes 1.8 times as long
	maxCookie      = 4000 // bytes of a value; browsers take 4,096 with its name
	attemptStateID = 16   // characters of the state that name its cookie
)

// An attempt is a sign-in under way, or a sign-out: what has to be known when the
// browser comes back from the provider. Each has a cookie of its own, or tabs
// that sign in at once would overwrite each other's.
type attempt struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`           // of PKCE, RFC 7636
	Began    int64     `json:"b"`           // Unix, in seconds
	Return   string    `json:"r"`           // where the user goes then
	Reauth   bool      `json:"a,omitempty"` // the user has to prove who they are
	Replaces *replaced `json:"o,omitempty"`
}

// replaced is a session that the sign-in replaces, for a callback that comes
// without its cookie.
type replaced struct {
	Subject string `json:"s"`
	ID      string `json:"i"`
}

func newAttempt(now time.Time) *attempt {
	return &attempt{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Began: now.Unix()}
}

// random returns 256 random bits in base64url.
func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// attempts keeps sign-ins under way in cookies.
type attempts struct {
	prefix   string
	secure   bool
	sameSite http.SameSite
	codecs   []securecookie.Codec
}

// newAttempts returns attempts whose cookies' names begin with prefix, at most
// behind __Host-.
func newAttempts(prefix string, sameSite http.SameSite, cfg Config) (attempts, error) {
	a := attempts{prefix: "__Host-" + prefix, secure: true, sameSite: sameSite}
	if cfg.DangerouslyAllowInsecureCookie {
		a.prefix, a.secure = prefix, false
	}
	for _, key := range cfg.CookieKeys {
		// An attempt is good for one provider and client only.
		info := fmt.Sprintf("ticketstore oidc attempt %q %q", cfg.Issuer, cfg.ClientID)
		b, err := hkdf.Key(sha256.New, key.Hash, nil, info, 64)
		if err != nil {
			return a, err
		}
		// Its age is checked by find, whose clock a test can move.
		codec := securecookie.New(b[:32], b[32:]).MaxAge(0).MaxLength(maxCookie).SetSerializer(securecookie.JSONEncoder{})
		a.codecs = append(a.codecs, codec)
	}
	return a, nil
}

func (a *attempts) name(state string) string { return a.prefix + state[:attemptStateID] }

// start sets the cookie of t, and deletes those of the oldest attempts of r's
// browser if there are too many.
func (a *attempts) start(w http.ResponseWriter, r *http.Request, t *attempt, now time.Time) error {
	value, err := securecookie.EncodeMulti(a.prefix, t, a.codecs...)
	if err != nil {
		return fmt.Errorf("oidc: cookie: %w", err)
	}
	type old struct {
		name  string
		began int64
	}
	var others []old
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, a.prefix) {
			o := old{name: c.Name}
			if t := a.decode(c.Value, now); t != nil {
				o.began = t.Began
			}
			others = append(others, o)
		}
	}
	slices.SortStableFunc(others, func(x, y old) int { return cmp.Compare(x.began, y.began) })
	for len(others) >= maxAttempts {
		a.set(w, others[0].name, "", -1)
		others = others[1:]
	}
	a.set(w, a.name(t.State), value, int(attemptLasts/time.Second))
	return nil
}

// find returns the attempt of state that r's browser has made; nil if it has
// made none.
func (a *attempts) find(r *http.Request, state string, now time.Time) *attempt {
	if len(state) < attemptStateID {
		return nil
	}
	for _, c := range r.CookiesNamed(a.name(state)) {
		t := a.decode(c.Value, now)
		if t != nil && subtle.ConstantTimeCompare([]byte(t.State), []byte(state)) == 1 {
			return t
		}
	}
	return nil
}

// decode returns the attempt in the value of a cookie; nil if that is not ours,
// or too old.
func (a *attempts) decode(value string, now time.Time) *attempt {
	var t attempt
	if securecookie.DecodeMulti(a.prefix, value, &t, a.codecs...) != nil {
		return nil
	}
	if age := now.Sub(time.Unix(t.Began, 0)); age >= attemptLasts || age < -attemptLasts {
		return nil
	}
	return &t
}

// end deletes the cookie of an attempt.
func (a *attempts) end(w http.ResponseWriter, t *attempt) { a.set(w, a.name(t.State), "", -1) }

func (a *attempts) set(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: a.secure, HttpOnly: true, SameSite: a.sameSite,
	})
	w.Header().Set("Cache-Control", "no-store")
}
