using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;

namespace Example;

/// <summary>All that a ticket says, as JSON.</summary>
public sealed record TicketJson(
    string? Subject,
    string? Name,
    IReadOnlyList<string> Roles,
    string Scheme,
    DateTimeOffset? Issued,
    DateTimeOffset? Expires,
    bool Persistent,
    bool? AllowRefresh,
    IDictionary<string, string?> Items,
    IReadOnlyList<IdentityJson> Identities)
{
    public static TicketJson From(AuthenticationTicket ticket) => new(
        ticket.Principal.FindFirstValue(ClaimTypes.NameIdentifier),
        ticket.Principal.Identity?.Name,
        [.. ticket.Principal.Identities.SelectMany(i => i.FindAll(i.RoleClaimType)).Select(c => c.Value)],
        ticket.AuthenticationScheme,
        ticket.Properties.IssuedUtc,
        ticket.Properties.ExpiresUtc,
        ticket.Properties.IsPersistent,
        ticket.Properties.AllowRefresh,
        ticket.Properties.Items,
        [.. ticket.Principal.Identities.Select(IdentityJson.From)]);
}

public sealed record IdentityJson(
    string? AuthenticationType,
    string? NameClaimType,
    string? RoleClaimType,
    string? Label,
    string? BootstrapContext,
    IReadOnlyList<ClaimJson>? Claims,
    IdentityJson? Actor)
{
    public static IdentityJson From(ClaimsIdentity identity) => new(
        identity.AuthenticationType,
        identity.NameClaimType,
        identity.RoleClaimType,
        identity.Label,
        identity.BootstrapContext as string,
        [.. identity.Claims.Select(ClaimJson.From)],
        identity.Actor is { } actor ? From(actor) : null);
}

public sealed record ClaimJson(
    string Type,
    string Value,
    string? ValueType,
    string? Issuer,
    string? OriginalIssuer,
    IDictionary<string, string>? Properties)
{
    public static ClaimJson From(Claim claim) =>
        new(claim.Type, claim.Value, claim.ValueType, claim.Issuer, claim.OriginalIssuer, claim.Properties);
}
