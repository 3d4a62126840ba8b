package oidc

import (
	"log/slog"
	"net/http"

	"github.com/ticketstore/ticketstore/internal/clock"
)

// FrontChannelLogout returns the handler of frontchannel_logout_uri (OpenID
// Connect Front-Channel Logout 1.0). Register it with
// frontchannel_logout_session_required: it ends the session of the parameters
// iss and sid. Entra ID leaves iss out, which is no secret: then the sid is one
// of the Issuer's.
//
// The provider's page loads it in a frame, where browsers send no Lax cookie. So
// the sid is all that it goes by, and whoever knows one can end its session: the
// user, the provider, and whoever they show an ID token to. Nobody else can do
// anything with it. If your provider's sid can be guessed, leave this out. Use
// BackChannelLogout where the provider has it: browsers that partition storage,
// block frames or are closed early leave this undone.
//
// It answers 200 with an empty page, whether there was a session or not, and
// leaves the cookie, which opens nothing any more.
func (p *Provider) FrontChannelLogout() http.Handler {
	return methods(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'") // any page may frame it
		q := r.URL.Query()
		sid, iss := q["sid"], q["iss"]
		if len(sid) != 1 || sid[0] == "" || len(iss) > 1 || len(iss) == 1 && iss[0] != p.cfg.Issuer {
			http.Error(w, "The sid of a session at our provider is required, once.", http.StatusBadRequest)
			return
		}
		ctx, cancel := p.storeContext(r)
		defer cancel()
		link := Link("sid", p.cfg.Issuer, sid[0])
		n, err := 0, error(nil)
		// Without a session there is nothing to write: anybody can come with
		// any sid, and each would take room for an hour.
		for _, e := range p.store.Linked(ctx, link) {
			if err = e; err == nil {
				n, err = p.revoke(ctx, link, clock.Now(ctx).Add(sidAhead))
			}
			break
		}
		if err != nil {
			p.refused(w, r, "front-channel logout", err, nil)
			return
		}
		p.log(ctx, slog.LevelInfo, "oidc: front-channel logout", "sessions", n)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}, http.MethodGet)
}
