using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.DataProtection;
using StackExchange.Redis;

namespace Example;

/// <summary>
/// Cookie authentication whose cookie and sessions a Go service shares. What must be equal there is in this file,
/// and nowhere else.
/// </summary>
public static class SharedSessions
{
    /// <summary>
    /// Adds cookie authentication, Data Protection and the session store. <paramref name="settings"/> may have any of
    /// the names below; those that are missing have the values of the example.
    /// </summary>
    public static IServiceCollection AddSharedSessions(this IServiceCollection services, IConfiguration settings)
    {
        const string scheme = CookieAuthenticationDefaults.AuthenticationScheme; // "Cookies"; encrypted with the cookie

        // In front of every session's Redis key. In a Redis Cluster "{example}:", so that all are in one slot.
        var instanceName = settings["InstanceName"] ?? "example:";

        // One connection for keys and sessions.
        var redis = Connect(settings["Redis"] ?? "127.0.0.1:6379", settings.GetValue("RedisTimeout", 2000));
        services.AddSingleton(redis);

        // The keys that encrypt the cookie. To Redis they are plain text, unless there is a certificate: the Go service
        // then needs it, too.
        var keys = services.AddDataProtection()
            .SetApplicationName(settings["ApplicationName"] ?? "example") // part of every key derivation
            .PersistKeysToStackExchangeRedis(redis, settings["KeyList"] ?? "DataProtection-Keys"); // a list, as named
        if (settings["CertificatePath"] is { Length: > 0 } path)
        {
            keys.ProtectKeysWithCertificate(LoadCertificate(path, settings["CertificatePassword"]));
        }

        services.AddAuthentication(scheme).AddCookie(scheme, options =>
        {
            options.Cookie.Name = CookieAuthenticationDefaults.CookiePrefix + scheme; // ".AspNetCore.Cookies"
            options.Cookie.Path = "/"; // also if this application is mounted below a path
            options.Cookie.SameSite = SameSiteMode.Lax; // the default
            options.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest; // the default: Secure for https
            options.ExpireTimeSpan = settings.GetValue("ExpireTimeSpan", TimeSpan.FromDays(14)); // idle timeout
            options.SlidingExpiration = settings.GetValue("SlidingExpiration", true); // renew past half of it
            options.LoginPath = "/login"; // where both send those who are not signed in
            options.LogoutPath = "/logout";
        });

        // The cookie holds a session's key alone; the ticket is in this store.
        services.AddOptions<CookieAuthenticationOptions>(scheme)
            .Configure<ITicketStore>((options, store) => options.SessionStore = store);
        switch (settings["SessionStore"] ?? "usual")
        {
            case "usual":
                services.AddSingleton<ITicketStore, RedisCacheTicketStore>();
                services.AddStackExchangeRedisCache(options =>
                {
                    options.ConnectionMultiplexerFactory = () => Task.FromResult(redis);
                    options.InstanceName = instanceName;
                });
                break;
            case "redis":
                services.AddSingleton<ITicketStore>(provider => new RedisTicketStore(
                    redis,
                    new RedisTicketStoreOptions { InstanceName = instanceName },
                    provider.GetService<TimeProvider>()));
                break;
            case var unknown:
                throw new InvalidOperationException($"SessionStore is \"{unknown}\", which is none of: usual, redis.");
        }
        return services;
    }

    /// <summary>
    /// The status for an exception that reached the end of a request. If Redis cannot answer, nobody is signed out:
    /// 503, and the browser keeps its cookie.
    /// </summary>
    public static int StatusCode(Exception exception) =>
        exception.GetBaseException() is RedisException or RedisTimeoutException
            ? StatusCodes.Status503ServiceUnavailable
            : StatusCodes.Status500InternalServerError;

    private static IConnectionMultiplexer Connect(string configuration, int timeout)
    {
        var options = ConfigurationOptions.Parse(configuration);
        options.AbortOnConnectFail = false; // start without Redis, and find it when it is there
        options.ConnectTimeout = options.SyncTimeout = options.AsyncTimeout = timeout; // ms
        options.IncludeDetailInExceptions = false; // it would put session keys into the log
        return ConnectionMultiplexer.Connect(options);
    }

    private static X509Certificate2 LoadCertificate(string path, string? password) =>
        Path.GetExtension(path).ToLowerInvariant() is ".pfx" or ".p12"
            ? X509CertificateLoader.LoadPkcs12FromFile(path, password)
            : password is null
                ? X509Certificate2.CreateFromPemFile(path)
                : X509Certificate2.CreateFromEncryptedPemFile(path, password);
}
