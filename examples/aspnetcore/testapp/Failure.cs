using Microsoft.AspNetCore.Diagnostics;

namespace Example.Testing;

/// <summary>An exception, as JSON.</summary>
public sealed record Failure(string Exception, string Message, Failure? Inner)
{
    public static Failure From(Exception exception) => new(
        exception.GetType().FullName!,
        exception.Message,
        exception.InnerException is { } inner ? From(inner) : null);

    /// <summary>The end of a request that threw.</summary>
    public static Task Write(HttpContext context) =>
        context.Response.WriteAsJsonAsync(From(context.Features.Get<IExceptionHandlerFeature>()!.Error));

    /// <summary>What <paramref name="attempt"/> returns, or 422 and the exception.</summary>
    public static IResult Try(Func<IResult> attempt)
    {
        try
        {
            return attempt();
        }
        catch (Exception e)
        {
            return Results.Json(From(e), statusCode: StatusCodes.Status422UnprocessableEntity);
        }
    }
}
