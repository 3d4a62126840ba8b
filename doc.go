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
// lose the last writes, a revocation among them.
//
// # Stores
//
// [RedisStore] is one [TicketStore]; package storetest checks any other. Package
// tickettest has one for tests and development, without a server, and package
// aspnetcore one that shares sessions with ASP.NET Core applications.
//
// Packages devices and admin are the pages where users and operators see
// sessions and end them. Package forwardauth guards what is behind a proxy. The
// module frameworks has adapters for routers and RPC, the module oidc sign-in
// through a provider.
package ticketstore
