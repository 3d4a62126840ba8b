package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
)

// BackChannelLogout returns the handler of backchannel_logout_uri (OpenID Connect
// Back-Channel Logout 1.0). It ends the session of the logout token's sid or,
// without one, all sessions of its sub.
//
// It answers 200, also if there was no such session, or 400 with a JSON object
// that has error and error_description. If the store or the provider's keys
// cannot be had it answers 503, where section 2.8 has 400: that says that trying
// again helps, and the token can come again.
//
// The provider calls it directly: nothing in front may want a cookie, or a token
// against forged requests.
func (p *Provider) BackChannelLogout() http.Handler {
	return methods(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // section 2.8
		ctx, cancel := p.storeContext(r)
		defer cancel()
		raw, err := logoutToken(w, r)
		n := 0
		if err == nil {
			n, err = p.logout(ctx, raw)
		}
		if err != nil {
			p.refused(w, r, "back-channel logout", err, func(w http.ResponseWriter, text string) {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": text})
			})
			return
		}
		p.log(ctx, slog.LevelInfo, "oidc: back-channel logout", "sessions", n)
	}, http.MethodPost)
}

// logoutToken returns the logout token that r has (section 2.5).
func logoutToken(w http.ResponseWriter, r *http.Request) (string, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return "", refuse("the Content-Type is not application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenBytes)
	if err := r.ParseForm(); err != nil {
		return "", refuse("the form cannot be read: %v", err)
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 || tokens[0] == "" {
		return "", refuse("there is not one logout_token")
	}
	return tokens[0], nil
}

// refused answers a request that has failed: by answer if that is its fault, and
// else with 503.
func (p *Provider) refused(w http.ResponseWriter, r *http.Request, what string, err error, answer func(w http.ResponseWriter, text string)) {
	if !isRefusal(err) {
		level := slog.LevelError
		if errors.Is(context.Cause(r.Context()), context.Canceled) {
			level = slog.LevelDebug
		}
		p.log(r.Context(), level, "oidc: "+what+" failed", "error", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "The service is temporarily unavailable. Please try again.", http.StatusServiceUnavailable)
		return
	}
	p.log(r.Context(), slog.LevelWarn, "oidc: "+what+" refused", "error", err)
	answer(w, plain(err.Error()))
}

// plain leaves what error_description may have (RFC 6749, section 5.2).
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c < ' ' || c > '~':
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), 300)]
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// storeContext returns a context for what r asks of the store. What has begun
// goes on if the client hangs up: half a logout is none.
func (p *Provider) storeContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
}
