// Package aspnetcore shares sessions with ASP.NET Core: a Go service beside an
// ASP.NET Core application accepts the cookie that the application has issued,
// finds the ticket where the application has put it, and the other way round.
//
//	store, err := aspnetcore.NewStore(client, aspnetcore.StoreConfig{InstanceName: "shop:"})
//	keys, err := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Client: client})
//	cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{
//		KeyRing:         keys,
//		ApplicationName: "shop",
//		Lifetime:        30 * 24 * time.Hour,
//	})
//	manager, err := ticketstore.NewManager(store, cfg)
//
// examples/aspnetcore is such a pair of services, and a guide to moving from
// one to the other. The parts can be used alone: [Serializer] is the format of
// tickets (TicketSerializer), [KeyRing] and [Protector] are Data Protection,
// [CookieCodec] is the cookie of CookieAuthenticationHandler with a
// SessionStore, and [Store] the records of an ITicketStore over RedisCache. All
// is what ASP.NET Core 10 does; 8 and 9 write the same.
//
// # What a Store gives up
//
// ASP.NET Core decides what is in Redis, and what its usual ITicketStore does
// with it. Beside [ticketstore.RedisStore]:
//
//   - The key is in Redis in clear, in the name of the record and in the index:
//     who can read Redis can read every ticket, and with a Data Protection key,
//     which is often in the same Redis, make a cookie for it. Encrypt those
//     keys with a certificate.
//   - Records are not sealed, whatever [ticketstore.RedisConfig] has for that:
//     who can write to Redis can be anybody.
//   - A session that the application has begun is in the index once Go has seen
//     it or [Store.Reindex] has run, and one that the application alone has
//     renewed stays there until the expiry that Go last saw. Until then it is
//     not listed or counted, and RevokeAll leaves it alive.
//   - A session that the application has ended, or that DEL has, counts until
//     it is listed or would have expired.
//   - For Go, a session that Go has ended is over: a tombstone stays at its key
//     until it would have expired, and for an hour at least. The application's
//     late renewal, an upsert, can write the ticket again, and then the
//     application accepts it until a request with it comes to Go, which ends it
//     there as well. A session that the application has ended leaves no
//     tombstone, and a late renewal of its own brings it back for both.
//   - The key cannot be rotated: Store is no [ticketstore.KeyRotator]. Signing
//     in at the application within a live session keeps the key, as ASP.NET
//     Core does, also for another user.
//   - It tells of no endings, as [ticketstore.RedisStore] does with History: it
//     has neither History nor Endings, so packages devices and admin show none.
//     Manager.Live learns of them by asking, within half a minute.
//   - RevokeAll and RevokeOthers leave no mark, which .NET would not read: a
//     sign-in that is under way meanwhile, of either runtime, survives them.
//     Disable the account first, where both look at sign-in, then call
//     RevokeAll, and once more when the sign-ins that had looked before are done.
//   - It is no [ticketstore.LinkIndex], and refuses a ticket with Links: the
//     sessions of the module oidc have some. Beside an application that signs
//     users in through a provider, let that handle the provider's logouts, and
//     end sessions with Revoke and RevokeAll, which .NET heeds.
//   - Times are kept to the second, and all sessions are in one slot of a Redis
//     Cluster, which InstanceName has to name.
//   - It takes SHA-1, to tell one record from another in few bytes, as the
//     scripts of both runtimes do, and so panics under GODEBUG=fips140=only, as
//     do a KeyRing's keys whose algorithm is HMACSHA1.
//
// RedisTicketStore.cs in examples/aspnetcore is an ITicketStore that runs the
// same scripts as Store. With it in the application, revocation is final and
// listings are complete for both runtimes.
//
// ASP.NET Core takes the cookie of an impersonation (Manager.Impersonate) for its
// user's: it does not ask for the operator's key, which is in a second cookie. It
// sees the operator in ClaimsIdentity.Actor, of the AuthenticationType
// "ticketstore.impersonation"; let it refuse such a user where it must be sure,
// or impersonate only where Go answers.
//
// Go bounds a session by Options.Lifetime and by EndsAt, of which the usual
// class knows neither, and RedisTicketStore.cs the second. The application may
// renew a ticket past them, and then accepts it while Go does not.
//
// A RedisStore with [Serializer] has all of this, endings, marks and links too; but
// .NET finds no ticket there.
//
// # What becomes of a ticket
//
// Scheme, identities, claims, actors and bootstrap contexts are those of
// AuthenticationTicket and its ClaimsPrincipal. A value type, issuer or
// original issuer that is .NET's default is read as empty.
//
// Subject is the value of the first claim of the type
// [Serializer].SubjectClaim; actors' claims do not count. It must be a subject
// that a store may keep. If the ticket has no such claim, one is written at
// the end of the first identity; if its value differs from Subject, the ticket
// is refused.
//
// IssuedAt, ExpiresAt and Persistent are the items .issued, .expires and
// .persistent of AuthenticationProperties. Times are cut to the second, so an
// expiry is never later.
//
// SignedInAt, AuthenticatedAt, EndsAt, IdleTimeout, Device, SeenFrom, Links and
// LinkedAt travel in items of ours, whose keys begin with "ticketstore.". ASP.NET Core keeps
// items that it does not know when it renews a ticket by activity; a sign-in
// there begins with new ones. Where they are missing:
//
//   - SignedInAt is .issued, which each of .NET's renewals moves. So the
//     absolute lifetime binds, and RequireRecent tells a sign-in from a renewal,
//     only from the first renewal by Go on, which writes SignedInAt down.
//   - AuthenticatedAt is zero, which means SignedInAt. An application that gets
//     auth_time from its provider writes the item ticketstore.authenticatedAt
//     when it signs in, such as "2026-03-04T05:06:07Z".
//   - IdleTimeout is the time from .issued to .expires, which .NET's renewals
//     keep: a ticket that the application made for an hour slides by an hour.
//   - EndsAt is .expires if .refresh is False, as .NET then does not renew
//     either; otherwise there is none but that of [ticketstore.Config].
//
// Every other item is kept in Properties, .redirect, .refresh and .Token.*
// among them. The keys of the items above are reserved, and so are all that
// begin with "ticketstore.": a ticket with such a property is refused.
//
// # What is filled in
//
// To .NET an identity without an authentication type is not signed in, and
// empty name and role claim types mean others than they do here. So an empty
// AuthenticationType is written as the scheme, or as "Cookies" if that is empty
// too, also in an actor and in an identity that .NET left without one, and an empty NameClaimType and
// RoleClaimType as "name" and "role". These, and a subject claim that was
// added, are taken out again when the ticket is read: the item
// ticketstore.filled says what they are.
//
// What is read and written again without a change has the same content. Its
// order is fixed: the properties of a claim and the items sorted by key, after
// them .persistent, .issued and .expires. The value of .persistent, which has
// no meaning, becomes empty, and an .issued that is no date is left out.
//
// # Where tickets are read more strictly than by .NET
//
// Refused, though .NET reads them:
//
//   - text that is not valid UTF-8, which .NET replaces by U+FFFD;
//   - bytes after the end of the ticket;
//   - properties of a version other than 1, for which .NET takes none: such a
//     ticket would never expire;
//   - an .expires that is not a date, or is the first instant of the year 1:
//     .NET takes the one for never, and the other has no time to stand for it
//     in Go;
//   - more than 8 identities in a chain of actors;
//   - a ticket without a subject, as above;
//   - an item that begins with "ticketstore." and is malformed or unknown.
//
// Of the records of RedisCache, Store refuses one whose sldexp is 0 or negative
// other than -1, which .NET reads once and deletes, and a ticket at the very
// instant of its expiry.
//
// Counts and lengths are checked against what is left of the ticket before
// anything is allocated for them, so that memory is bounded by the input. A
// type or issuer that is U+0000 alone is refused when written, since .NET
// would read the default for it.
//
// # Where keys and cookies differ from .NET
//
// A KeyRing never makes a key. It protects with .NET's default key or, if that
// cannot be, with .NET's fallback, whereas .NET would make a new one; and it
// reads the keys again every hour and when it misses one, .NET once a day. An
// empty or missing list is an outage, and so is a key that is known and cannot
// be used here: one encrypted for DPAPI or Azure Key Vault, for a certificate
// that is not in KeyRingConfig, or of a CNG descriptor.
//
// Refused, though .NET reads them:
//
//   - dates of keys without a time zone, GUIDs in the format X, document types,
//     encodings other than UTF-8;
//   - items over 1 MiB, 32 levels or 10,000 nodes, and lists of over 10,000;
//   - an empty master key, and algorithms named by a number;
//   - certificates of the system's stores: all are given in KeyRingConfig;
//   - cookies whose value is not base64url without padding, which is all that
//     .NET writes, is percent-encoded or in quotes, or has over 64 KiB;
//   - chunks whose number is over that of the request's cookies.
package aspnetcore
