using System.Globalization;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Antiforgery;

namespace Example;

/// <summary>Text that is HTML. Whatever goes into it by interpolation is encoded, unless it is HTML itself.</summary>
public sealed record Html(string Text)
{
    public static Html From(FormattableString html) => new(html.ToString(Encoding));

    public static Html Join(IEnumerable<Html> parts) => new(string.Concat(parts.Select(p => p.Text)));

    /// <summary>The hidden field that every form which changes something must have.</summary>
    public static Html AntiforgeryField(HttpContext context)
    {
        var tokens = context.RequestServices.GetRequiredService<IAntiforgery>().GetAndStoreTokens(context);
        return From($"""<input type="hidden" name="{tokens.FormFieldName}" value="{tokens.RequestToken}">""");
    }

    /// <summary>A page of its own, which no cache may keep.</summary>
    public static IResult Page(HttpContext context, string title, FormattableString body, int status = 200)
    {
        context.Response.Headers.CacheControl = "no-store";
        var page = From($"""
            <!DOCTYPE html>
            <html lang="en">
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width">
            <title>{title}</title>
            <style>{Style}</style>
            <main>
            <h1>{title}</h1>
            {From(body)}
            </main>
            </html>
            """);
        return Results.Content(page.Text, "text/html; charset=utf-8", statusCode: status);
    }

    private static readonly Formatter Encoding = new();

    private static readonly Html Style = new("""
        :root { color-scheme: light dark; }
        body { margin: 0; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
        main { max-width: 46rem; margin: 4vh auto; }
        table { border-collapse: collapse; }
        th, td { padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
        label { display: block; margin: .75rem 0; }
        """);

    private sealed class Formatter : IFormatProvider, ICustomFormatter
    {
        public object? GetFormat(Type? type) => type == typeof(ICustomFormatter) ? this : null;

        public string Format(string? format, object? value, IFormatProvider? provider) => value switch
        {
            Html html => html.Text,
            IFormattable it => HtmlEncoder.Default.Encode(it.ToString(format, CultureInfo.InvariantCulture)),
            _ => HtmlEncoder.Default.Encode(value?.ToString() ?? ""),
        };
    }
}
