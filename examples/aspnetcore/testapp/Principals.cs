using System.Security.Claims;

namespace Example.Testing;

/// <summary>The way back from <see cref="TicketJson"/>: what is null there has .NET's default.</summary>
public static class Principals
{
    public static ClaimsIdentity ToIdentity(this IdentityJson json)
    {
        var identity = new ClaimsIdentity(json.AuthenticationType, json.NameClaimType, json.RoleClaimType)
        {
            Label = json.Label,
            BootstrapContext = json.BootstrapContext,
            Actor = json.Actor?.ToIdentity(),
        };
        identity.AddClaims((json.Claims ?? []).Select(ToClaim));
        return identity;
    }

    public static Claim ToClaim(this ClaimJson json)
    {
        var claim = new Claim(json.Type, json.Value, json.ValueType, json.Issuer, json.OriginalIssuer);
        foreach (var (key, value) in json.Properties ?? new Dictionary<string, string>())
        {
            claim.Properties.Add(key, value);
        }
        return claim;
    }
}
