using Microsoft.AspNetCore.Authentication;

namespace Example.Testing;

/// <summary>TicketSerializer itself. Bodies are the bytes of a ticket; what it refuses is 422.</summary>
public static class Tickets
{
    public static void MapTickets(this IEndpointRouteBuilder app)
    {
        app.MapPost("/deserialize", async (HttpContext context) =>
        {
            var data = await Read(context.Request);
            return Failure.Try(() =>
            {
                var ticket = TicketSerializer.Default.Deserialize(data);
                return Results.Json(new { ticket = ticket is null ? null : TicketJson.From(ticket) });
            });
        });
        app.MapPost("/rewrite", async (HttpContext context) =>
        {
            var data = await Read(context.Request);
            return Failure.Try(() => Results.Bytes(
                TicketSerializer.Default.Serialize(TicketSerializer.Default.Deserialize(data)!)));
        });
    }

    private static async Task<byte[]> Read(HttpRequest request)
    {
        using var data = new MemoryStream();
        await request.Body.CopyToAsync(data);
        return data.ToArray();
    }
}
