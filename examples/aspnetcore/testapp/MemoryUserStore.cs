using System.Security.Claims;
using Microsoft.AspNetCore.Identity;

namespace Example.Testing;

/// <summary>
/// The users alice and bob, with the password "Secret-1". Their first security stamp is always the same, so that
/// sessions outlive a restart.
/// </summary>
public sealed class MemoryUserStore(IPasswordHasher<IdentityUser> hasher)
    : IUserPasswordStore<IdentityUser>, IUserSecurityStampStore<IdentityUser>, IUserClaimStore<IdentityUser>
{
    private readonly IdentityUser[] users = [NewUser(hasher, "alice"), NewUser(hasher, "bob")];

    private static IdentityUser NewUser(IPasswordHasher<IdentityUser> hasher, string name)
    {
        var user = new IdentityUser(name)
        {
            Id = $"id-{name}",
            NormalizedUserName = name.ToUpperInvariant(),
            SecurityStamp = $"STAMP-{name}",
        };
        user.PasswordHash = hasher.HashPassword(user, "Secret-1");
        return user;
    }

    public Task<IdentityUser?> FindByIdAsync(string id, CancellationToken _) =>
        Task.FromResult(Array.Find(users, u => u.Id == id));

    public Task<IdentityUser?> FindByNameAsync(string normalizedName, CancellationToken _) =>
        Task.FromResult(Array.Find(users, u => u.NormalizedUserName == normalizedName));

    public Task<string> GetUserIdAsync(IdentityUser user, CancellationToken _) => Task.FromResult(user.Id);

    public Task<string?> GetUserNameAsync(IdentityUser user, CancellationToken _) => Task.FromResult(user.UserName);

    public Task<string?> GetNormalizedUserNameAsync(IdentityUser user, CancellationToken _) =>
        Task.FromResult(user.NormalizedUserName);

    public Task SetNormalizedUserNameAsync(IdentityUser user, string? name, CancellationToken _)
    {
        user.NormalizedUserName = name;
        return Task.CompletedTask;
    }

    public Task<IdentityResult> UpdateAsync(IdentityUser user, CancellationToken _) =>
        Task.FromResult(IdentityResult.Success);

    public Task<string?> GetPasswordHashAsync(IdentityUser user, CancellationToken _) =>
        Task.FromResult(user.PasswordHash);

    public Task<bool> HasPasswordAsync(IdentityUser user, CancellationToken _) => Task.FromResult(true);

    public Task<string?> GetSecurityStampAsync(IdentityUser user, CancellationToken _) =>
        Task.FromResult(user.SecurityStamp);

    public Task SetSecurityStampAsync(IdentityUser user, string stamp, CancellationToken _)
    {
        user.SecurityStamp = stamp;
        return Task.CompletedTask;
    }

    public Task<IList<Claim>> GetClaimsAsync(IdentityUser user, CancellationToken _) =>
        Task.FromResult<IList<Claim>>([new Claim(ClaimTypes.Role, "member")]);

    public void Dispose()
    {
    }

    // What nothing here calls.

    public Task SetUserNameAsync(IdentityUser user, string? name, CancellationToken _) =>
        throw new NotSupportedException();

    public Task<IdentityResult> CreateAsync(IdentityUser user, CancellationToken _) =>
        throw new NotSupportedException();

    public Task<IdentityResult> DeleteAsync(IdentityUser user, CancellationToken _) =>
        throw new NotSupportedException();

    public Task SetPasswordHashAsync(IdentityUser user, string? hash, CancellationToken _) =>
        throw new NotSupportedException();

    public Task AddClaimsAsync(IdentityUser user, IEnumerable<Claim> claims, CancellationToken _) =>
        throw new NotSupportedException();

    public Task ReplaceClaimAsync(IdentityUser user, Claim claim, Claim newClaim, CancellationToken _) =>
        throw new NotSupportedException();

    public Task RemoveClaimsAsync(IdentityUser user, IEnumerable<Claim> claims, CancellationToken _) =>
        throw new NotSupportedException();

    public Task<IList<IdentityUser>> GetUsersForClaimAsync(Claim claim, CancellationToken _) =>
        throw new NotSupportedException();
}
