using Microsoft.AspNetCore.Identity;

namespace Example.Testing;

/// <summary>ASP.NET Core Identity, in a second cookie.</summary>
public static class Identities
{
    public static void MapIdentity(this IEndpointRouteBuilder app)
    {
        app.MapPost("/id/signin", async (SignInManager<IdentityUser> manager, PasswordJson body) =>
        {
            var result = await manager.PasswordSignInAsync(
                body.Name, body.Password, body.Persistent, lockoutOnFailure: false);
            return result.Succeeded ? Results.Ok() : Results.Unauthorized();
        });
        app.MapPost("/id/signout", (SignInManager<IdentityUser> manager) => manager.SignOutAsync());
        app.MapGet("/id/me", async (HttpContext context) =>
        {
            return await Sessions.Me(context, IdentityConstants.ApplicationScheme);
        });

        // Ends all sessions of a user, as a new password does; each when its stamp is next checked.
        app.MapPost("/id/stamp", async (UserManager<IdentityUser> users, string name) =>
            await users.FindByNameAsync(name) is { } user && (await users.UpdateSecurityStampAsync(user)).Succeeded
                ? Results.Ok()
                : Results.NotFound());

        app.MapPost("/id/refresh", async (SignInManager<IdentityUser> manager, string name) =>
        {
            if (await manager.UserManager.FindByNameAsync(name) is not { } user)
            {
                return Results.NotFound();
            }
            await manager.RefreshSignInAsync(user);
            return Results.Ok();
        });
    }

    private sealed record PasswordJson(string Name, string Password, bool Persistent);
}
