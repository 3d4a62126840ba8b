// A session store for ASP.NET Core's cookie authentication: one file, to be copied. Besides ASP.NET Core it needs
// StackExchange.Redis, and Redis 6.2 or newer. Tickets are where the usual class over RedisCache has them, as it has
// them, so that class can be replaced by this one, and back, while everybody stays signed in.
//
// What it adds:
//   - What has ended stays so. The usual class renews by writing: a request that has read a ticket before its session
//     was ended, and renews it afterwards, brings the session back. Here it does not.
//   - Nothing written in between is lost, whoever wrote it. Of two requests that renew a ticket by activity, the
//     second does nothing; claims that somebody has changed meanwhile are not set back.
//   - Every session is in the index of its user, so that the user's sessions can be listed and ended.
//   - A key is 32 random bytes, where a Guid has 122 bits that nobody promises to be unpredictable.
//
// Every write is one atomic script. The scripts are those of the Go library github.com/ticketstore/ticketstore, to the
// byte: a test there compares them. So change them there first.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using StackExchange.Redis;

namespace Example;

/// <summary>What a <see cref="RedisTicketStore"/> is told. All of it must be equal in the Go service.</summary>
public sealed class RedisTicketStoreOptions
{
    /// <summary>
    /// Starts every key in Redis, as InstanceName of RedisCacheOptions does; with its separator, if it has one. On a
    /// Redis Cluster it must have a hash tag, as in <c>{shop}:</c>: a script needs all its keys in one slot.
    /// </summary>
    public string InstanceName { get; set; } = "";

    /// <summary>Starts every session key. What has another beginning is no key.</summary>
    public string Prefix { get; set; } = "AuthSessionStore-";

    /// <summary>
    /// The type of the claim that names the user: the first of this type counts, over all identities. Every ticket
    /// must have one. With OpenID Connect and MapInboundClaims set to false, it is "sub".
    /// </summary>
    public string SubjectClaim { get; set; } = ClaimTypes.NameIdentifier;
}

/// <summary>
/// Keeps tickets in Redis, in the records of RedisCache. What has ended cannot be renewed, and a user's sessions are
/// in an index. It is safe for concurrent use, and holds no thread while it waits for Redis.
/// </summary>
/// <remarks>
/// <para>
/// If Redis cannot answer, the exception of StackExchange.Redis ends the request: nobody is taken for signed out.
/// </para>
/// <para>
/// A ticket is written with its sign-in's time, user agent and address, as items of its properties that begin with
/// "ticketstore.". The last two are personal data. Renewals keep them. A sign-in with properties of its own begins
/// with new ones, also where ASP.NET Core goes on with the key of a live session. An item
/// <c>ticketstore.endsAt</c>, which the Go service may write, ends the session at that time, however active.
/// </para>
/// </remarks>
public sealed class RedisTicketStore : ITicketStore
{
    private const int Attempts = 10;
    private const int MaxKeyBytes = 256, MaxSubjectBytes = 1024, MaxUserAgentBytes = 512;

    private const string KeepsChanging = "Others keep changing the session.";

    private const string IndexName = "ticketstore:"; // begins the names of indexes, behind InstanceName

    private const string SignedInAt = "ticketstore.signedInAt";
    private const string EndsAt = "ticketstore.endsAt";
    private const string UserAgent = "ticketstore.device.userAgent";
    private const string Addr = "ticketstore.device.addr";
    private const string TimeFormat = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    private static readonly RedisValue[] RecordFields = ["data", "ticketstore", "absexp", "sldexp"];

    private readonly IConnectionMultiplexer redis;
    private readonly TimeProvider clock;
    private readonly string instanceName, prefix, subjectClaim;
    private readonly object seenKey = new(); // of this store's own in HttpContext.Items

    /// <summary>
    /// Makes a store that uses <paramref name="redis"/>, which stays the caller's. It does not contact Redis.
    /// </summary>
    /// <exception cref="ArgumentException">The options are unfit.</exception>
    public RedisTicketStore(
        IConnectionMultiplexer redis, RedisTicketStoreOptions? options = null, TimeProvider? clock = null)
    {
        ArgumentNullException.ThrowIfNull(redis);
        options ??= new();
        this.redis = redis;
        this.clock = clock ?? TimeProvider.System;
        instanceName = options.InstanceName ?? "";
        prefix = options.Prefix;
        subjectClaim = options.SubjectClaim;
        if (string.IsNullOrEmpty(prefix) || Encoding.UTF8.GetByteCount(prefix) > MaxKeyBytes / 2
            || IndexName.StartsWith(prefix, StringComparison.Ordinal)
            || prefix.StartsWith(IndexName, StringComparison.Ordinal))
        {
            throw new ArgumentException(
                $"Prefix \"{prefix}\" is empty, too long, or taken by the indexes.", nameof(options));
        }
        if (string.IsNullOrEmpty(subjectClaim))
        {
            throw new ArgumentException("SubjectClaim is empty.", nameof(options));
        }
    }

    /// <inheritdoc cref="StoreAsync(AuthenticationTicket, HttpContext, CancellationToken)"/>
    public Task<string> StoreAsync(AuthenticationTicket ticket) =>
        StoreCoreAsync(ticket, context: null, CancellationToken.None);

    /// <inheritdoc cref="StoreAsync(AuthenticationTicket, HttpContext, CancellationToken)"/>
    public Task<string> StoreAsync(AuthenticationTicket ticket, CancellationToken cancellationToken) =>
        StoreCoreAsync(ticket, context: null, cancellationToken);

    /// <summary>
    /// Starts a session and returns its key, which is secret. The ticket stays as it is; what is stored says also when
    /// and, given a request, from where the user has signed in.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// The ticket has no expiry, or no claim that names the user.
    /// </exception>
    public Task<string> StoreAsync(
        AuthenticationTicket ticket, HttpContext httpContext, CancellationToken cancellationToken) =>
        StoreCoreAsync(ticket, httpContext, cancellationToken);

    /// <inheritdoc cref="RetrieveAsync(string, HttpContext, CancellationToken)"/>
    public Task<AuthenticationTicket?> RetrieveAsync(string key) =>
        RetrieveCoreAsync(key, context: null, CancellationToken.None);

    /// <inheritdoc cref="RetrieveAsync(string, HttpContext, CancellationToken)"/>
    public Task<AuthenticationTicket?> RetrieveAsync(string key, CancellationToken cancellationToken) =>
        RetrieveCoreAsync(key, context: null, cancellationToken);

    /// <summary>
    /// Returns the ticket of a session, or null if there is none, or none any more. The request remembers what it has
    /// read, for a renewal.
    /// </summary>
    public Task<AuthenticationTicket?> RetrieveAsync(
        string key, HttpContext httpContext, CancellationToken cancellationToken) =>
        RetrieveCoreAsync(key, httpContext, cancellationToken);

    /// <inheritdoc cref="RenewAsync(string, AuthenticationTicket, HttpContext, CancellationToken)"/>
    public Task RenewAsync(string key, AuthenticationTicket ticket) =>
        RenewCoreAsync(key, ticket, context: null, CancellationToken.None);

    /// <inheritdoc cref="RenewAsync(string, AuthenticationTicket, HttpContext, CancellationToken)"/>
    public Task RenewAsync(string key, AuthenticationTicket ticket, CancellationToken cancellationToken) =>
        RenewCoreAsync(key, ticket, context: null, cancellationToken);

    /// <summary>
    /// Replaces the ticket of a live session. If the session has ended, it does nothing: the next request is anonymous.
    /// </summary>
    /// <remarks>
    /// If somebody else has written since this request has read the ticket, a renewal that changes nothing but the
    /// dates is dropped, as what is there is at least as new. Otherwise, as where somebody signs in within a live
    /// session, what the application wants replaces it. Only a request that has itself removed a session, with
    /// <see cref="RemoveAsync(string, HttpContext, CancellationToken)"/>, starts it again. Without an HttpContext, what
    /// is there when the renewal begins counts as read.
    /// </remarks>
    /// <exception cref="InvalidOperationException">
    /// The ticket has no expiry, or no claim that names the user; or others keep changing the session.
    /// </exception>
    public Task RenewAsync(
        string key, AuthenticationTicket ticket, HttpContext httpContext, CancellationToken cancellationToken) =>
        RenewCoreAsync(key, ticket, httpContext, cancellationToken);

    /// <inheritdoc cref="RemoveAsync(string, HttpContext, CancellationToken)"/>
    public Task RemoveAsync(string key) => RemoveCoreAsync(key, context: null);

    /// <inheritdoc cref="RemoveAsync(string, HttpContext, CancellationToken)"/>
    public Task RemoveAsync(string key, CancellationToken cancellationToken) => RemoveCoreAsync(key, context: null);

    /// <summary>
    /// Ends a session. Whoever has signed out and hung up is signed out: <paramref name="cancellationToken"/> is not
    /// heeded.
    /// </summary>
    public Task RemoveAsync(string key, HttpContext httpContext, CancellationToken cancellationToken) =>
        RemoveCoreAsync(key, httpContext);

    private async Task<string> StoreCoreAsync(
        AuthenticationTicket ticket, HttpContext? context, CancellationToken cancellationToken)
    {
        var key = prefix + WebEncoders.Base64UrlEncode(RandomNumberGenerator.GetBytes(32));
        var write = WriteOf(WithSignIn(ticket, context));
        var status = await StartAsync(key, write, again: "", cancellationToken);
        if (status != "OK")
        {
            throw Unexpected(status);
        }
        Remember(context, key, write);
        return key;
    }

    private async Task<AuthenticationTicket?> RetrieveCoreAsync(
        string key, HttpContext? context, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            if (await ReadLiveAsync(key, cancellationToken) is not { } record
                || TicketSerializer.Default.Deserialize(record.Data) is not { } ticket)
            {
                return null;
            }
            var (now, expiry) = (clock.GetUtcNow(), ExpiryOf(ticket.Properties));
            if (now >= EndOf(ticket.Properties))
            {
                return null;
            }
            // Who is served is listed, also if the usual class has begun the session. The handler ends one that has
            // expired.
            if (expiry > now && SubjectOf(ticket) is { } subject && !record.IsIndexed(subject, expiry.Value)
                && !await IndexAsync(key, record, subject, expiry.Value, cancellationToken))
            {
                continue; // it has changed meanwhile
            }
            if (context is not null)
            {
                // The first one, if there are several: it is what the handler has.
                SeenBy(context).TryAdd(key, new Seen(record.Data, record.Revision));
            }
            if (record.Sliding > TimeSpan.Zero) // as RedisCache does
            {
                var until = now.UtcDateTime + record.Sliding;
                await redis.GetDatabase()
                    .KeyExpireAsync(RecordKey(key), until < record.Until ? until : record.Until)
                    .WaitAsync(cancellationToken);
            }
            return ticket;
        }
        throw new InvalidOperationException(KeepsChanging);
    }

    private async Task RenewCoreAsync(
        string key, AuthenticationTicket ticket, HttpContext? context, CancellationToken cancellationToken)
    {
        if (!IsKey(key))
        {
            return;
        }
        Seen? seen = null;
        if (context is not null && SeenBy(context).TryGetValue(key, out seen) && seen is null)
        {
            // Signed out and in within one request: ASP.NET Core up to 10 goes on with the key that it has removed.
            await StartAgainAsync(key, ticket, context, cancellationToken);
            return;
        }
        if (seen is null)
        {
            if (await ReadLiveAsync(key, cancellationToken) is not { } record)
            {
                return;
            }
            seen = new Seen(record.Data, record.Revision);
        }
        var before = TicketSerializer.Default.Deserialize(seen.Data);
        var write = WriteOf(IsSignIn(ticket, before) ? WithSignIn(ticket, context) : ticket);
        var revision = seen.Revision;
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var status = (string?)await EvalAsync(
                RenewScript,
                [RecordKey(key), .. IndexKeys(write.Subject)],
                [key, write.Subject, revision, write.Data, write.Ticks, write.Milliseconds, write.Name, Now()],
                cancellationToken);
            switch (status)
            {
                case "OK":
                    Remember(context, key, write);
                    return;
                case "GONE":
                case "PAST" when EndOf(ticket.Properties) < ticket.Properties.ExpiresUtc:
                    return;
                case "STALE" or "UNSEEN":
                    break;
                default:
                    throw Unexpected(status);
            }
            if (attempt > 0)
            {
                await Task.Delay(Random.Shared.Next(10 * attempt), cancellationToken); // ms; many do this at once
            }
            if (await ReadLiveAsync(key, cancellationToken) is not { } record
                || record.Revision != seen.Revision && IsSameButForDates(ticket, before))
            {
                return;
            }
            revision = record.Revision;
            if (record.Subject != write.Subject)
            {
                // Not in the index, or somebody signs in within a session of another user. The session is put into
                // the new user's index first, with the ticket that it has: so there is no moment without a session,
                // and whoever ends it meanwhile has ended it. Should we get no further, the next request that reads
                // that ticket puts it back. So from here on nothing is cancelled.
                cancellationToken = CancellationToken.None;
                _ = await IndexAsync(key, record, write.Subject, write.Expiry, cancellationToken);
            }
        }
        throw new InvalidOperationException(KeepsChanging);
    }

    private async Task RemoveCoreAsync(string key, HttpContext? context)
    {
        if (!IsKey(key))
        {
            return;
        }
        var record = await ReadAsync(key, CancellationToken.None);
        if (record.HasTicket)
        {
            await EndAsync(key, record);
        }
        if (context is not null)
        {
            SeenBy(context)[key] = null;
        }
    }

    /// <summary>Starts a session that this request has ended.</summary>
    private async Task StartAgainAsync(
        string key, AuthenticationTicket ticket, HttpContext context, CancellationToken cancellationToken)
    {
        var write = WriteOf(WithSignIn(ticket, context));
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var status = await StartAsync(key, write, again: "again", cancellationToken);
            switch (status)
            {
                case "OK":
                    Remember(context, key, write);
                    return;
                case "TAKEN": // another request has been quicker, or is of the usual class
                    await EndAsync(key, await ReadAsync(key, cancellationToken));
                    break;
                default:
                    throw Unexpected(status);
            }
        }
        throw new InvalidOperationException(KeepsChanging);
    }

    private async Task<string?> StartAsync(string key, Write write, string again, CancellationToken cancellationToken)
    {
        const int cap = 0; // none
        const string replaced = ""; // nor this
        return (string?)await EvalAsync(
            StoreScript,
            [RecordKey(key), .. IndexKeys(write.Subject)],
            [key, write.Subject, write.Data, write.Ticks, write.Milliseconds, cap, replaced, write.Name, again, Now()],
            cancellationToken);
    }

    // That of the machine, which Redis compares with its own: nothing is written if they are over a minute apart.
    private static long Now() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    /// <summary>
    /// Puts a session into the index of a user, and takes it out of that in which it is; not if it has changed.
    /// </summary>
    private async Task<bool> IndexAsync(
        string key, Record record, string subject, DateTimeOffset expiry, CancellationToken cancellationToken) =>
        (long)await EvalAsync(
            IndexScript,
            [RecordKey(key), .. IndexKeys(subject), IndexKeys(record.Subject is "" ? subject : record.Subject)[0]],
            [key, subject, record.Revision, expiry.ToUnixTimeMilliseconds(), record.Subject],
            cancellationToken) > 0;

    private Task EndAsync(string key, Record record) =>
        EvalAsync(
            RemoveScript,
            [RecordKey(key), .. IndexKeys(record.Subject)],
            [key, record.Subject],
            CancellationToken.None);

    // StackExchange.Redis sends EVALSHA, and loads a script that the server does not have.
    private Task<RedisResult> EvalAsync(
        string script, RedisKey[] keys, RedisValue[] values, CancellationToken cancellationToken) =>
        redis.GetDatabase().ScriptEvaluateAsync(script, keys, values).WaitAsync(cancellationToken);

    private async Task<Record> ReadAsync(string key, CancellationToken cancellationToken)
    {
        // Not from a replica, which may not know yet that the session has ended.
        var fields = await redis.GetDatabase()
            .HashGetAsync(RecordKey(key), RecordFields, CommandFlags.DemandMaster)
            .WaitAsync(cancellationToken);
        return new Record(fields[0], fields[1], fields[2], fields[3]);
    }

    /// <summary>The record of a session that has not been ended, or null.</summary>
    private async Task<Record?> ReadLiveAsync(string key, CancellationToken cancellationToken)
    {
        if (!IsKey(key))
        {
            return null;
        }
        var record = await ReadAsync(key, cancellationToken);
        if (record is { HasTicket: true, IsGone: true })
        {
            // A renewal by the usual class has brought it back: end it there, too.
            try
            {
                await EndAsync(key, record);
            }
            catch (Exception e) when (e is RedisException or RedisCommandException or RedisTimeoutException)
            {
                // The next request does it.
            }
        }
        return record is { HasTicket: true, IsGone: false } ? record : null;
    }

    private RedisKey RecordKey(string key) => instanceName + key;

    /// <summary>The index of a user, and the censuses of sessions and of users.</summary>
    private RedisKey[] IndexKeys(string subject) =>
    [
        $"{instanceName}{IndexName}subject:{subject}",
        $"{instanceName}{IndexName}sessions",
        $"{instanceName}{IndexName}subjects",
    ];

    private bool IsKey(string key) =>
        key.StartsWith(prefix, StringComparison.Ordinal) && key.Length > prefix.Length
        && Encoding.UTF8.GetByteCount(key) <= MaxKeyBytes;

    private string? SubjectOf(AuthenticationTicket? ticket) =>
        ticket?.Principal.Claims.FirstOrDefault(c => c.Type == subjectClaim)?.Value is { Length: > 0 } subject
        && Encoding.UTF8.GetByteCount(subject) <= MaxSubjectBytes && !subject.Any(char.IsControl)
            ? subject
            : null;

    /// <summary>When a session ends, however active: never if nothing says so, long ago if that is no time.</summary>
    private static DateTimeOffset EndOf(AuthenticationProperties properties) =>
        !properties.Items.TryGetValue(EndsAt, out var text) || string.IsNullOrEmpty(text) ? DateTimeOffset.MaxValue
        : DateTimeOffset.TryParseExact(
            text, TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var end) ? end
        : DateTimeOffset.MinValue;

    private static DateTimeOffset? ExpiryOf(AuthenticationProperties properties) =>
        EndOf(properties) is var end && end < properties.ExpiresUtc ? end : properties.ExpiresUtc;

    private Write WriteOf(AuthenticationTicket ticket) => new(
        SubjectOf(ticket) ?? throw new InvalidOperationException(
            $"The ticket has no claim of the type \"{subjectClaim}\" that can name the user: 1 to {MaxSubjectBytes} "
            + "bytes without control characters. Add one, or set RedisTicketStoreOptions.SubjectClaim."),
        ExpiryOf(ticket.Properties) ?? throw new InvalidOperationException(
            "The ticket would never expire: set AuthenticationProperties.ExpiresUtc, as the cookie handler does."),
        TicketSerializer.Default.Serialize(ticket));

    private static InvalidOperationException Unexpected(string? status) => new(status switch
    {
        "PAST" => "The ticket has expired already, by the clock of Redis: see AuthenticationProperties.ExpiresUtc.",
        "LATE" => "The clock of this machine is more than a minute from that of Redis, or the command was held up.",
        _ => $"The script replied \"{status}\".",
    });

    /// <summary>
    /// Whether a renewal is a sign-in that goes on with the key of a live session, whose ticket was
    /// <paramref name="before"/>: it does not go on with that one's properties.
    /// </summary>
    private bool IsSignIn(AuthenticationTicket ticket, AuthenticationTicket? before) =>
        ticket.Properties.GetString(SignedInAt) != before?.Properties.GetString(SignedInAt)
        || SubjectOf(ticket) != SubjectOf(before);

    /// <summary>A copy of a ticket that says when and where the user has signed in, as the Go service does.</summary>
    private AuthenticationTicket WithSignIn(AuthenticationTicket ticket, HttpContext? context)
    {
        var items = new Dictionary<string, string?>(ticket.Properties.Items);
        var at = ticket.Properties.IssuedUtc ?? clock.GetUtcNow();
        items.TryAdd(SignedInAt, at.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture));
        if (context?.Request.Headers.UserAgent.ToString() is { Length: > 0 } agent)
        {
            items.TryAdd(UserAgent, Cut(agent, MaxUserAgentBytes));
        }
        if (context?.Connection.RemoteIpAddress is { } ip)
        {
            var addr = ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : new IPAddress(ip.GetAddressBytes()); // without a zone
            items.TryAdd(Addr, addr.ToString());
        }
        return new AuthenticationTicket(
            ticket.Principal, new AuthenticationProperties(items), ticket.AuthenticationScheme);
    }

    /// <summary>As much of a text as has no more bytes than <paramref name="max"/>.</summary>
    private static string Cut(string text, int max)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        if (utf8.Length <= max)
        {
            return text;
        }
        while ((utf8[max] & 0xC0) == 0x80) // not where a character begins
        {
            max--;
        }
        return Encoding.UTF8.GetString(utf8, 0, max);
    }

    /// <summary>Whether a ticket says what another says, apart from when it was issued and expires.</summary>
    private static bool IsSameButForDates(AuthenticationTicket ticket, AuthenticationTicket? other)
    {
        return other is not null && WithoutDates(ticket).AsSpan().SequenceEqual(WithoutDates(other));

        static byte[] WithoutDates(AuthenticationTicket ticket)
        {
            var properties = new AuthenticationProperties(new Dictionary<string, string?>(
                ticket.Properties.Items.OrderBy(i => i.Key, StringComparer.Ordinal)))
            {
                IssuedUtc = null,
                ExpiresUtc = null,
            };
            return TicketSerializer.Default.Serialize(
                new AuthenticationTicket(ticket.Principal, properties, ticket.AuthenticationScheme));
        }
    }

    /// <summary>What the sessions that a request has read or written had then; null for those it has ended.</summary>
    private Dictionary<string, Seen?> SeenBy(HttpContext context)
    {
        if (context.Items[seenKey] is not Dictionary<string, Seen?> seen)
        {
            context.Items[seenKey] = seen = [];
        }
        return seen;
    }

    private void Remember(HttpContext? context, string key, Write write)
    {
        if (context is not null)
        {
            SeenBy(context)[key] = new Seen(write.Data, RevisionOf(write.Data, write.Name));
        }
    }

    /// <summary>
    /// What the scripts compare: a hash of the ticket, which tells what others write, and the name of the last write by
    /// a script. SHA-1 is the hash that scripts have; nothing depends on its being hard to collide.
    /// </summary>
    private static string RevisionOf(byte[] data, string write) => Hex(SHA1.HashData(data)) + write;

    private static string Hex(byte[] bytes) => Convert.ToHexString(bytes).ToLowerInvariant();

    private sealed record Seen(byte[] Data, string Revision);

    /// <summary>A ticket on its way to Redis.</summary>
    private sealed record Write(string Subject, DateTimeOffset Expiry, byte[] Data)
    {
        public string Name { get; } = Hex(RandomNumberGenerator.GetBytes(8));
        public long Ticks => Expiry.UtcTicks;
        public long Milliseconds => Expiry.ToUnixTimeMilliseconds();
    }

    /// <summary>What Redis has of a session.</summary>
    private sealed class Record
    {
        private readonly long expiry; // by which the index has it, in ms

        public Record(RedisValue data, RedisValue ours, RedisValue absolute, RedisValue sliding)
        {
            HasTicket = !data.IsNull;
            Data = (byte[]?)data ?? [];
            IsGone = ours == "gone";
            if (((string?)ours)?.Split(' ', 4) is ["1", var write, var ms, var subject])
            {
                (LastWrite, Subject) = (write, subject);
                _ = long.TryParse(ms, NumberStyles.None, CultureInfo.InvariantCulture, out expiry);
            }
            if (absolute.TryParse(out long ticks) && ticks > 0 && ticks < Until.Ticks)
            {
                Until = new DateTime(ticks, DateTimeKind.Utc);
            }
            if (sliding.TryParse(out ticks) && ticks > 0)
            {
                Sliding = TimeSpan.FromTicks(Math.Min(ticks, TimeSpan.FromDays(36_500).Ticks));
            }
        }

        public bool HasTicket { get; }
        public byte[] Data { get; }
        public bool IsGone { get; } // it has ended, and stays so
        public string LastWrite { get; } = "0"; // by a script; "0" if there was none
        public string Subject { get; } = ""; // in whose index it is; empty if in none
        public DateTime Until { get; } = DateTimeOffset.MaxValue.UtcDateTime; // its absolute expiry
        public TimeSpan Sliding { get; } // the idle timeout of RedisCache, if an application has one
        public string Revision => RevisionOf(Data, LastWrite);

        public bool IsIndexed(string subject, DateTimeOffset until) =>
            Subject == subject && expiry == until.ToUnixTimeMilliseconds();
    }

    // The scripts. Each literal is the text of the file of its name, with the line break at its end.

    private const string StoreScript = CensusLua + CommonLua + StoreLua;
    private const string RenewScript = CensusLua + CommonLua + RenewLua;
    private const string IndexScript = CensusLua + CommonLua + IndexLua;
    private const string RemoveScript = CensusLua + CommonLua + RemoveLua;

    private const string CensusLua = """
-- Which subjects are signed in, and with which sessions: an index of sessions
-- for each subject, a census of sessions and one of subjects, all scored by
-- expiry. Times are milliseconds since 1970 by the clock of Redis, which also
-- enforces PXAT. A session is live while now < expiry.

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- late reports whether the caller's clock is over a minute off, or the command
-- that it has sent has waited for so long: then nothing is to happen.
local function late(caller, t) return math.abs(tonumber(caller) - t) > 60000 end

-- live returns the live sessions in an index.
local function live(index, t)
  return redis.call('ZRANGEBYSCORE', index, string.format('(%.0f', t), '+inf')
end

-- settle is the last step of every script: it trims what has expired, brings
-- the census of subjects up to date, and lets no set outlive its last member.
local function settle(index, sessions, subjects, subject, t)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', t)
  local top = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  if top[2] then
    redis.call('ZADD', subjects, top[2], subject)
    redis.call('PEXPIREAT', index, top[2])
  else
    redis.call('ZREM', subjects, subject)
  end
  for _, set in ipairs({sessions, subjects}) do
    local dead = redis.call('ZRANGEBYSCORE', set, '-inf', t, 'LIMIT', 0, 100)
    if #dead > 0 then redis.call('ZREM', set, unpack(dead)) end
    top = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')
    if top[2] then redis.call('PEXPIREAT', set, top[2]) end
  end
end

""";

    private const string CommonLua = """
-- Prepended to each script, behind census.lua. A record is RedisCache's hash
-- (absexp, sldexp, data) with a field of ours, ticketstore: '1', the name of
-- our last write, and the expiry in ms and the subject that the index has the
-- session by; or 'gone' once it has ended. RedisCache keeps a field that it
-- does not know, also when it writes the session again. Indexes and the census
-- of sessions hold session keys.

-- read returns data and our field of a record, false for what is missing. A
-- key of another type has empty data.
local function read(record)
  local fields = redis.pcall('HMGET', record, 'data', 'ticketstore')
  if not fields.err then return fields[1], fields[2] end
  if string.find(fields.err, 'WRONGTYPE', 1, true) then return '', false end
  error(fields.err)
end

local function field(write, expiry, subject) return '1 ' .. write .. ' ' .. expiry .. ' ' .. subject end

-- parse returns the name of the last write, and subject and expiry in the
-- index, of our field.
local function parse(ours)
  local write, expiry, subject = string.match(ours or '', '^1 (%x+) (%d+) (.+)$')
  return write, subject, tonumber(expiry)
end

-- owned reports whether a live session is in subject's index.
local function owned(record, subject)
  local data, ours = read(record)
  local _, of = parse(ours)
  return data and of == subject
end

-- bury ends a session: what stays, until it would have expired and for an hour
-- at least, is a hash without data, which RedisCache takes for no entry. It
-- returns 1 if the session was live, else 0. It fails before it has changed
-- anything, if an ACL forbids what it takes: half an ending, and a renewal by
-- ASP.NET Core would bring the session back. The first HDEL does nothing; Redis
-- does not refuse it when memory is full, nor what follows it.
local function bury(record, t)
  local data, ours = read(record)
  if not data and not ours then return 0 end
  local till = tonumber(redis.call('PTTL', record)) + t
  if data == '' and redis.call('TYPE', record).ok ~= 'hash' then
    redis.call('DEL', record)
  else
    -- .NET ticks are 100 ns since the year 1.
    local ticks = tonumber(redis.call('HGET', record, 'absexp') or '')
    till = math.max(till, ((ticks or 0) - 621355968000000000) / 10000)
  end
  till = math.min(math.max(till, t + 3600000), t + 34560000000) -- 400 days
  redis.call('HDEL', record, '')
  redis.call('HSET', record, 'ticketstore', 'gone')
  redis.call('HDEL', record, 'absexp', 'sldexp', 'data')
  redis.call('PEXPIREAT', record, string.format('%.0f', till))
  return data and ours ~= 'gone' and 1 or 0
end

local function drop(record, index, sessions, key, t)
  local n = bury(record, t)
  redis.call('ZREM', index, key)
  redis.call('ZREM', sessions, key)
  return n
end

""";

    private const string StoreLua = """
-- Starts a session, ending, at the cap, the oldest.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects, 5.. records of ARGV[11..]
-- ARGV 1 session key, 2 subject, 3 data, 4 expiry in .NET ticks, 5 in ms, 6 cap (0: none),
--      7 key of the session that this one replaces, which does not count ('' if none): the caller ends it,
--      8 name of this write,
--      9 'again' if the session of this key may have ended, as where ASP.NET Core
--      signs out and in within one request ('' if not),
--      10 the caller's time in ms, 11.. keys of sessions that may have to go, first one first
-- reply 'OK', 'PAST': expired already, 'LATE': see late, 'FULL': more have to go, 'TAKEN': the key is in use, or was
local record, index, sessions, subjects = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, subject, expiry, cap, replaced = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local mine = field(ARGV[8], expiry, subject)
local t = now()
if late(ARGV[10], t) then return 'LATE' end
if tonumber(expiry) <= t then return 'PAST' end
local data, ours = read(record)
if data and ours == mine then return 'OK' end -- a repeated command whose reply was lost
if data or ours and ARGV[9] ~= 'again' then return 'TAKEN' end

local gone = {}
if cap > 0 then
  local others, n = {}, 0
  for _, other in ipairs(live(index, t)) do
    if other ~= replaced then others[other], n = true, n + 1 end
  end
  for i = 11, #ARGV do
    if n < cap then break end
    if others[ARGV[i]] then gone[#gone + 1], n = i, n - 1 end
  end
  if n >= cap then return 'FULL' end
end
redis.call('ZADD', index, 'XX', 0, '') -- does nothing, but fails if memory is full: nothing has ended then
for _, i in ipairs(gone) do drop(KEYS[i - 6], index, sessions, ARGV[i], t) end
redis.call('HSET', record, 'absexp', ARGV[4], 'sldexp', '-1', 'data', ARGV[3], 'ticketstore', mine)
redis.call('PEXPIREAT', record, expiry)
redis.call('ZADD', index, expiry, key)
redis.call('ZADD', sessions, expiry, key)
settle(index, sessions, subjects, subject, t)
return 'OK'

""";

    private const string RenewLua = """
-- Replaces a ticket, if it is still the one that was read; never creates one.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects
-- ARGV 1 session key, 2 subject, 3 revision that was read: SHA-1 of its data, in hex, and
--      the name of its write, 4 data, 5 expiry in .NET ticks, 6 in ms, 7 name of this write,
--      8 the caller's time in ms
-- reply 'OK', 'GONE', 'STALE', 'UNSEEN': it is not in the index of this subject,
--       'PAST': expired already, 'LATE': see late
local record, index, sessions, subjects = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, subject, expiry = ARGV[1], ARGV[2], tonumber(ARGV[6])
local data, ours = read(record)
if not data or ours == 'gone' then return 'GONE' end
local write, of, ends = parse(ours)
if of ~= subject then return 'UNSEEN' end
if write == ARGV[7] then return 'OK' end -- a repeated command whose reply was lost
if redis.sha1hex(data) .. write ~= ARGV[3] then return 'STALE' end
local t = now()
if late(ARGV[8], t) then return 'LATE' end
if ends <= t then return 'GONE' end -- by its own expiry, however long the record is kept
if expiry <= t then return 'PAST' end
redis.call('HSET', record, 'absexp', ARGV[5], 'data', ARGV[4], 'ticketstore', field(ARGV[7], ARGV[6], subject))
local sliding = tonumber(redis.call('HGET', record, 'sldexp') or '')
local till = expiry
if sliding and sliding > 0 then till = math.min(till, t + math.floor(sliding / 10000)) end
redis.call('PEXPIREAT', record, string.format('%.0f', till))
redis.call('ZADD', index, expiry, key)
redis.call('ZADD', sessions, expiry, key)
settle(index, sessions, subjects, subject, t)
return 'OK'

""";

    private const string IndexLua = """
-- Brings the index up to date about a session that ASP.NET Core has written.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects,
--      5 index of the subject that the session was of before (KEYS[2] if none)
-- ARGV 1 session key, 2 subject, 3 revision that was read, 4 expiry in ms,
--      5 the subject before ('' if none)
-- reply 2 if it was not in the index, 1 if it was, 0 if the record has changed since
local data, ours = read(KEYS[1])
local write, of = parse(ours)
write = write or '0'
if not data or ours == 'gone' or (of or '') ~= ARGV[5] or redis.sha1hex(data) .. write ~= ARGV[3] then return 0 end
local t = now()
local was = redis.call('ZREM', KEYS[5], ARGV[1]) -- first: Redis refuses to begin with a write that takes memory, if it is full
redis.call('HSET', KEYS[1], 'ticketstore', field(write, ARGV[4], ARGV[2]))
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
if of and of ~= ARGV[2] then settle(KEYS[5], KEYS[3], KEYS[4], of, t) end
settle(KEYS[2], KEYS[3], KEYS[4], ARGV[2], t)
return (was == 1 and of == ARGV[2]) and 1 or 2

""";

    private const string RemoveLua = """
-- Ends the session of a key, also one that has been written again since it ended.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects
-- ARGV 1 session key, 2 subject in whose index it is ('' if none)
-- reply how many sessions ended
local t = now()
local n = drop(KEYS[1], KEYS[2], KEYS[3], ARGV[1], t)
settle(KEYS[2], KEYS[3], KEYS[4], ARGV[2], t)
return n

""";
}
