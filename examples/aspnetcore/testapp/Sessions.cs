using System.Collections.Concurrent;
using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;

namespace Example.Testing;

/// <summary>Sign-in, sign-out and what lies between, in the scheme of the example.</summary>
public static class Sessions
{
    public static void MapSessions(this IEndpointRouteBuilder app)
    {
        app.MapPost("/signin", (HttpContext context, SignInJson body) => SignIn(context, body));
        app.MapPost("/signout", (HttpContext context) => context.SignOutAsync());
        app.MapPost("/signout-signin", async (HttpContext context, SignInJson body) =>
        {
            await context.SignOutAsync();
            return await SignIn(context, body);
        });

        // Other claims in the first identity, everything else as it is: as Identity's RefreshSignInAsync does it.
        app.MapPost("/update", async (HttpContext context, UpdateJson body) =>
        {
            if (await context.AuthenticateAsync() is not { Succeeded: true } result)
            {
                return Results.Unauthorized();
            }
            var principal = result.Principal.Clone();
            var identity = (ClaimsIdentity)principal.Identity!;
            var replaced = (body.Set ?? []).Select(c => c.Type).Concat(body.Remove ?? []).ToHashSet();
            foreach (var claim in identity.Claims.Where(c => replaced.Contains(c.Type)).ToList())
            {
                identity.RemoveClaim(claim);
            }
            identity.AddClaims((body.Set ?? []).Concat(body.Add ?? []).Select(Principals.ToClaim));
            return await SignIn(context, principal, result.Properties);
        });

        app.MapGet("/me", async (HttpContext context) =>
        {
            return await Me(context);
        });

        // The ticket is read before /reached answers, and renewed, if it is, when the response starts: after /release.
        // One name, one use.
        var gates = new ConcurrentDictionary<string, Gate>();
        Gate At(string name) => gates.GetOrAdd(name, _ => new Gate());
        app.MapGet("/slow", async (HttpContext context, string name, string? scheme) =>
        {
            await context.AuthenticateAsync(scheme);
            At(name).Reached.TrySetResult();
            await At(name).Released.Task.WaitAsync(context.RequestAborted);
            return await Me(context, scheme);
        });
        app.MapGet("/reached", (HttpContext context, string name) =>
            At(name).Reached.Task.WaitAsync(context.RequestAborted));
        app.MapPost("/release", (string name) => At(name).Released.TrySetResult());
    }

    /// <summary>Who is signed in by a scheme, by default the example's; or 401 and the reason.</summary>
    public static async Task<IResult> Me(HttpContext context, string? scheme = null)
    {
        var result = await context.AuthenticateAsync(scheme);
        return result.Ticket is { } ticket
            ? Results.Json(TicketJson.From(ticket))
            : Results.Json(new { failure = result.Failure?.Message }, statusCode: 401);
    }

    private static Task<IResult> SignIn(HttpContext context, SignInJson body)
    {
        var properties = new AuthenticationProperties(body.Items ?? [])
        {
            IsPersistent = body.Persistent,
            IssuedUtc = body.IssuedUtc,
            ExpiresUtc = body.ExpiresUtc,
            AllowRefresh = body.AllowRefresh,
        };
        return SignIn(context, new ClaimsPrincipal(body.Identities.Select(Principals.ToIdentity)), properties);
    }

    private static async Task<IResult> SignIn(
        HttpContext context, ClaimsPrincipal principal, AuthenticationProperties properties)
    {
        await context.SignInAsync(principal, properties);
        const string scheme = CookieAuthenticationDefaults.AuthenticationScheme;
        return Results.Json(TicketJson.From(new AuthenticationTicket(principal, properties, scheme)));
    }

    private sealed record SignInJson(
        IReadOnlyList<IdentityJson> Identities,
        Dictionary<string, string?>? Items,
        bool Persistent,
        DateTimeOffset? IssuedUtc,
        DateTimeOffset? ExpiresUtc,
        bool? AllowRefresh);

    private sealed record UpdateJson(
        IReadOnlyList<ClaimJson>? Add, IReadOnlyList<ClaimJson>? Set, IReadOnlyList<string>? Remove);

    private sealed class Gate
    {
        public TaskCompletionSource Reached { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
        public TaskCompletionSource Released { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
