// The other side of the live test: the session code of ../webapp, and a way to have ASP.NET Core do whatever the test
// asks of it. It trusts whoever can reach it.
using Example;
using Example.Testing;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Identity;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.ClearProviders()
    .AddConsole(options => options.LogToStandardErrorThreshold = LogLevel.Trace)
    .SetMinimumLevel(LogLevel.Warning);
builder.Services.ConfigureHttpJsonOptions(options => options.SerializerOptions.MaxDepth = 1000); // for actors of actors
builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(1));

var clock = new StoppedClock();
builder.Services.AddSingleton<TimeProvider>(clock); // the cookie handlers and the security stamp validator use it
builder.Services.AddSharedSessions(builder.Configuration.GetSection("Sessions"));
builder.Services.AddAlgorithm(builder.Configuration);

builder.Services.AddSingleton<IUserStore<IdentityUser>, MemoryUserStore>();
builder.Services.AddIdentityCore<IdentityUser>().AddSignInManager();
builder.Services.AddAuthentication().AddIdentityCookies();
builder.Services.AddOptions<CookieAuthenticationOptions>(IdentityConstants.ApplicationScheme)
    .Configure<ITicketStore>((options, store) => options.SessionStore = store);

var app = builder.Build();
app.UseExceptionHandler(new ExceptionHandlerOptions
{
    StatusCodeSelector = SharedSessions.StatusCode,
    ExceptionHandler = Failure.Write,
});
app.UseAuthentication();
app.MapPost("/clock", (ClockJson body) => clock.Set(body.Now));
app.MapSessions();
app.MapIdentity();
app.MapDataProtection();
app.MapTickets();

await app.StartAsync();
Console.WriteLine($"ready {app.Urls.First()}");
if (app.Configuration.GetValue("ExitOnStdinClose", false))
{
    _ = Task.Run(() =>
    {
        Console.In.ReadToEnd();
        app.Lifetime.StopApplication();
    });
}
await app.WaitForShutdownAsync();

internal sealed record ClockJson(DateTimeOffset Now);
