using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.Extensions.Caching.Distributed;

namespace Example;

/// <summary>
/// The session store that many applications have, in one form or another: a ticket in the distributed cache.
/// </summary>
/// <remarks>
/// It has two holes. Renewing is an upsert, so a request that read the ticket before its session was ended, and
/// renews it afterwards, brings the session back. And nothing knows which sessions a user has. RedisTicketStore.cs
/// has neither.
/// </remarks>
public sealed class RedisCacheTicketStore(IDistributedCache cache) : ITicketStore
{
    private const string KeyPrefix = "AuthSessionStore-";

    public async Task<string> StoreAsync(AuthenticationTicket ticket)
    {
        var key = KeyPrefix + Guid.NewGuid();
        await RenewAsync(key, ticket);
        return key;
    }

    public Task RenewAsync(string key, AuthenticationTicket ticket) =>
        cache.SetAsync(key, TicketSerializer.Default.Serialize(ticket), new DistributedCacheEntryOptions
        {
            AbsoluteExpiration = ticket.Properties.ExpiresUtc,
        });

    public async Task<AuthenticationTicket?> RetrieveAsync(string key) =>
        await cache.GetAsync(key) is { } data ? TicketSerializer.Default.Deserialize(data) : null;

    public Task RemoveAsync(string key) => cache.RemoveAsync(key);
}
