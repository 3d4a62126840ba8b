using System.Security.Cryptography;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption;
using Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption.ConfigurationModel;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.WebUtilities;

namespace Example.Testing;

/// <summary>Data Protection itself: payloads, and the keys that protect them. Bytes are base64url.</summary>
public static class Protection
{
    /// <summary>
    /// The algorithms of keys that are made from now on: Algorithm is the name of an EncryptionAlgorithm, or
    /// MANAGED_128, MANAGED_192 or MANAGED_256; Validation is HMACSHA256, HMACSHA512, or with MANAGED also HMACSHA384.
    /// </summary>
    public static void AddAlgorithm(this IServiceCollection services, IConfiguration settings)
    {
        var algorithm = settings["Algorithm"] ?? "AES_256_CBC";
        var validation = settings["Validation"] ?? "HMACSHA256";
        if (algorithm.StartsWith("MANAGED_", StringComparison.Ordinal))
        {
            services.AddDataProtection().UseCustomCryptographicAlgorithms(new ManagedAuthenticatedEncryptorConfiguration
            {
                EncryptionAlgorithmType = typeof(Aes),
                EncryptionAlgorithmKeySize = int.Parse(algorithm["MANAGED_".Length..]),
                ValidationAlgorithmType = validation switch
                {
                    "HMACSHA256" => typeof(HMACSHA256),
                    "HMACSHA384" => typeof(HMACSHA384),
                    "HMACSHA512" => typeof(HMACSHA512),
                    _ => throw new InvalidOperationException($"There is no Validation {validation}."),
                },
            });
            return;
        }
        services.AddDataProtection().UseCryptographicAlgorithms(new AuthenticatedEncryptorConfiguration
        {
            EncryptionAlgorithm = Enum.Parse<EncryptionAlgorithm>(algorithm),
            ValidationAlgorithm = Enum.Parse<ValidationAlgorithm>(validation),
        });
    }

    public static void MapDataProtection(this IEndpointRouteBuilder app)
    {
        app.MapGet("/protect", (IDataProtectionProvider keys, string[] purposes, string plaintext) => Failure.Try(() =>
        {
            var payload = keys.CreateProtector(purposes).Protect(WebEncoders.Base64UrlDecode(plaintext));
            return Results.Json(new { payload = WebEncoders.Base64UrlEncode(payload), key = KeyOf(payload) });
        }));
        app.MapGet("/unprotect", (IDataProtectionProvider keys, string[] purposes, string payload) => Failure.Try(() =>
        {
            var plaintext = keys.CreateProtector(purposes).Unprotect(WebEncoders.Base64UrlDecode(payload));
            return Results.Json(new { plaintext = WebEncoders.Base64UrlEncode(plaintext) });
        }));

        // Answers when the new key is in use here. Other processes do not see it before they next read the list.
        app.MapPost("/keys/rotate", async (IKeyManager manager, IDataProtectionProvider keys) =>
        {
            var now = DateTimeOffset.UtcNow;
            var key = manager.CreateNewKey(now, now.AddDays(90)).KeyId;
            while (CurrentKey(keys) != key) // the old ring answers while the new one is read
            {
                await Task.Delay(10);
            }
            return new { key };
        });

        // Answers when the key is no longer the one in use; another key's revocation counts an instant later.
        app.MapPost("/keys/revoke", async (IKeyManager manager, IDataProtectionProvider keys, Guid id) =>
        {
            manager.RevokeKey(id, "the test asked for it");
            while (CurrentKey(keys) == id)
            {
                await Task.Delay(10);
            }
        });
    }

    private static Guid CurrentKey(IDataProtectionProvider keys) => KeyOf(keys.CreateProtector("key").Protect([]));

    private static Guid KeyOf(byte[] payload) => new(payload.AsSpan(4, 16));
}
