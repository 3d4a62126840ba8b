// Package aspnetcore reads and writes the tickets of ASP.NET Core's cookie
// authentication, so that a Go service understands what an ASP.NET Core
// application has serialized with TicketSerializer, and the other way round.
//
//	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
//		Serializer: aspnetcore.Serializer{},
//	})
//
// A Serializer is the format of the ticket alone. The record of RedisStore has
// a line of its own in front, which ASP.NET Core does not read.
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
// SignedInAt, EndsAt, IdleTimeout, Device and SeenFrom travel in items of
// ours, whose keys begin with "ticketstore.". ASP.NET Core keeps items that it
// does not know when it renews a ticket by activity; a sign-in there begins
// with new ones. Where they are missing:
//
//   - SignedInAt is .issued, which each of .NET's renewals moves. So the
//     absolute lifetime binds only from the first renewal by Go on, which
//     writes SignedInAt down.
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
// AuthenticationType is written as the scheme, also in an actor and in an
// identity that .NET left without one, and an empty NameClaimType and
// RoleClaimType as "name" and "role". These, and a subject claim that was
// added, are taken out again when the ticket is read: the item
// ticketstore.filled says what they are.
//
// What is read and written again without a change has the same content. Its
// order is fixed: the properties of a claim and the items sorted by key, after
// them .persistent, .issued and .expires. The value of .persistent, which has
// no meaning, becomes empty, and an .issued that is no date is left out.
//
// # Where this is stricter than .NET
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
// Counts and lengths are checked against what is left of the ticket before
// anything is allocated for them, so that memory is bounded by the input. A
// type or issuer that is U+0000 alone is refused when written, since .NET
// would read the default for it.
package aspnetcore
