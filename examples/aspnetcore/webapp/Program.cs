// An ASP.NET Core application that shares its sessions with a Go service: see SharedSessions.cs. What follows is
// ordinary cookie authentication. The two are one site, behind one reverse proxy: what begins with /go/ is the Go
// service's, the rest is answered here.
using System.Globalization;
using System.Security.Claims;
using Example;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.HttpOverrides;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
builder.Services.AddSharedSessions(builder.Configuration.GetSection("Sessions"));
builder.Services.AddAuthorization();
builder.Services.AddAntiforgery(options => options.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest);
// Believed only from a proxy on loopback, which is the default. It must set all three, or drop them.
builder.Services.Configure<ForwardedHeadersOptions>(options => options.ForwardedHeaders =
    ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto | ForwardedHeaders.XForwardedHost);

var app = builder.Build();
app.UseForwardedHeaders();
app.UseExceptionHandler(new ExceptionHandlerOptions
{
    StatusCodeSelector = SharedSessions.StatusCode,
    ExceptionHandler = context => Html.Page(
        context, "Please try again in a moment", $"<p>Nobody has been signed out.</p>", context.Response.StatusCode)
        .ExecuteAsync(context),
});
app.UseStatusCodePages(page => Html.Page( // such as a form of a session that has been ended meanwhile
    page.HttpContext, "That did not work", $"""<p><a href="/">Start again</a>""", page.HttpContext.Response.StatusCode)
    .ExecuteAsync(page.HttpContext));
app.UseAuthentication();
app.UseAuthorization();
app.UseAntiforgery();

// Not well before the keys have been read once: as long as they are missing, everyone looks signed out.
app.MapGet("/healthz", (IDataProtectionProvider keys) =>
{
    keys.CreateProtector("healthz").Protect("");
    return "ok";
});

app.MapGet("/favicon.ico", () => Results.NoContent()); // asked for by every page of the site that names none

app.MapGet("/", async (HttpContext context) =>
{
    if ((await context.AuthenticateAsync()).Ticket is not { } ticket)
    {
        return Html.Page(context, "Nobody is signed in",
            $"""<p><a href="/login">Sign in</a></p>""");
    }
    var claims = ticket.Principal.Claims.Select(c => Html.From($"<tr><td>{c.Type}<td>{c.Value}"));
    return Html.Page(context, $"Hello, {ticket.Principal.Identity?.Name}",
        $"""
        <p>Signed in at {ticket.Properties.GetString(SignedInAt) ?? "an unknown time"}.
        Unless you use it, this session ends at {ticket.Properties.ExpiresUtc:u}.
        <p><a href="/go/">The Go service</a> · <a href="/go/sessions">Where you're logged in</a> ·
        <a href="/private">A private page</a> · <a href="/me">All that the ticket says</a>
        <form method="post" action="/logout">{Html.AntiforgeryField(context)}<button>Sign out</button></form>
        <table><tr><th>Claim<th>Value{Html.Join(claims)}</table>
        """);
});

app.MapGet("/private", (HttpContext context) => Html.Page(context, "A private page",
    $"""<p>Only for those who are signed in, as you are, {context.User.Identity?.Name}. <a href="/">Back</a>"""))
    .RequireAuthorization();

app.MapGet("/me", async (HttpContext context) =>
{
    var result = await context.AuthenticateAsync();
    return TicketJson.From(result.Ticket!);
}).RequireAuthorization();

app.MapGet("/login", (HttpContext context, string? returnUrl) => LoginPage(context, returnUrl));

app.MapPost("/login", async (HttpContext context, IFormCollection form) =>
{
    var returnUrl = (string?)form["ReturnUrl"];
    var user = Array.Find(Users, u => u.Subject == form["name"] && u.Password == form["password"]);
    // A sign-in within a session keeps its key, whoever signs in: github.com/dotnet/aspnetcore/issues/47503.
    if (user is null || context.User.Identity is { IsAuthenticated: true })
    {
        return LoginPage(context, returnUrl, failed: user is null);
    }
    var identity = new ClaimsIdentity(
        [
            new Claim(ClaimTypes.NameIdentifier, user.Subject), // the subject, by which the Go service knows sessions
            new Claim(ClaimTypes.Name, user.Name),
            new Claim(ClaimTypes.Role, user.Role),
            new Claim("department", user.Department),
        ],
        authenticationType: "pwd");
    var properties = new AuthenticationProperties { IsPersistent = form.ContainsKey("persistent") };
    // Where the Go service looks for the beginning of a session's lifetime; .issued moves with every renewal.
    properties.SetString(
        SignedInAt, DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
    await context.SignInAsync(new ClaimsPrincipal(identity), properties);
    return Results.LocalRedirect(Local(returnUrl));
});

// The form is a parameter so that its antiforgery token is checked.
app.MapPost("/logout", async (HttpContext context, IFormCollection form) =>
{
    await context.SignOutAsync();
    return Results.LocalRedirect(Local(form["ReturnUrl"]));
});

app.Run();

static string Local(string? url) => RedirectHttpResult.IsLocalUrl(url) ? url : "/";

static IResult LoginPage(HttpContext context, string? returnUrl, bool failed = false) =>
    context.User.Identity is { IsAuthenticated: true } identity
        ? Html.Page(context, $"You are signed in as {identity.Name}",
            $"""
            <p>Sign out first, to sign in again. <a href="{Local(returnUrl)}">Back</a>
            <form method="post" action="/logout">{Html.AntiforgeryField(context)}
            <input type="hidden" name="ReturnUrl" value="/login?ReturnUrl={Uri.EscapeDataString(Local(returnUrl))}">
            <button>Sign out</button></form>
            """)
        : Html.Page(context, "Sign in",
            $"""
            <p>{(failed ? "The name or the password is wrong." : "Anyone may sign in:")} alice has the password wonderland, bob has builder.
            <form method="post" action="/login">{Html.AntiforgeryField(context)}
            <input type="hidden" name="ReturnUrl" value="{Local(returnUrl)}">
            <label>Name <input name="name" autocomplete="username" required autofocus></label>
            <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
            <label><input name="persistent" type="checkbox" value="true"> Keep me signed in</label>
            <button>Sign in</button></form>
            """,
            failed ? 401 : 200);

internal sealed record DemoUser(string Subject, string Name, string Password, string Role, string Department);

internal partial class Program
{
    private const string SignedInAt = "ticketstore.signedInAt";

    private static readonly DemoUser[] Users =
    [
        new("alice", "Alice", "wonderland", "admin", "books"),
        new("bob", "Bob", "builder", "member", "tools"),
    ];
}
