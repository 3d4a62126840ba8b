// Package ticketstore keeps authentication tickets on the server, in Redis,
// and gives the browser only an opaque key. It is to net/http what
// CookieAuthenticationOptions.SessionStore (ITicketStore) is to ASP.NET Core.
//
// A cookie that carries the whole ticket cannot be revoked, listed, counted or
// timed out by the server. A ticket that stays behind can: delete the key in
// Redis and the user is signed out.
//
//	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
//	if err != nil {
//		return err
//	}
//	m, err := ticketstore.NewManager(store, ticketstore.Config{CookieKeys: keys})
//	if err != nil {
//		return err
//	}
//	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
//		// check the password first
//		if err := m.SignIn(w, r, ticketstore.NewTicket(user)); err != nil { ... }
//		http.Redirect(w, r, m.ReturnURL(r), http.StatusSeeOther)
//	})
//	http.ListenAndServe(addr, http.NewCrossOriginProtection().Handler(m.Wrap(mux)))
//
// In a handler:
//
//	if t, ok := ticketstore.FromContext(r.Context()); ok {
//		fmt.Fprintf(w, "Hello, %s!", t.Subject)
//	}
//
// # Words
//
// A ticket says who signed in, how, and until when. The [Key] in the cookie
// opens it. A [Session] is a live ticket seen from outside, without its key;
// its ID may be shown. A subject is a user. A store stores, renews, retrieves
// and removes tickets; to revoke is to end a session by its ID, to rotate is
// to give it a new key.
//
// # Guarantees
//
//   - Revocation is final: once Remove, Revoke, RevokeAll or RevokeOthers has
//     returned, no renewal that was under way brings the ticket back.
//   - No update is lost: a renewal that only records activity never overwrites
//     a change of claims.
//   - An outage is not a sign-out: the request gets 503 and the browser keeps
//     its cookie.
//   - Every session that was handed out is listed until it ends, and counts.
//   - The secret is nowhere but in the cookie; Redis has its SHA-256.
//   - Sign-in always issues a new key; a planted one is never adopted.
//   - The absolute lifetime holds, however active a session is.
//
// They hold as far as Redis keeps what it has acknowledged: a failover can
// lose the last writes, a revocation among them, unless
// [RedisConfig].RevokeReplicas waits for replicas.
//
// # What else there is
//
//   - devices and admin: the pages where users and operators see sessions and
//     end them.
//   - tickettest: a store without a server, for tests and development, and the
//     cookie of somebody who has signed in.
//   - storetest: checks a [TicketStore] that is not [RedisStore].
//   - aspnetcore: sessions shared with ASP.NET Core applications.
//   - forwardauth: guards what is behind nginx, Caddy, Traefik or Envoy.
//   - cmd/ticketstore: the operator's command.
//
// Modules of their own, so that what they need reaches only who uses them, are
// frameworks (adapters for routers and RPC), oidc (sign-in and logout by an
// OpenID Connect provider), otelticketstore (metrics and traces) and compact
// (smaller tickets).
//
// The directory docs has a tutorial, recipes, a reference of what is in Redis,
// and how it works.
package ticketstore
