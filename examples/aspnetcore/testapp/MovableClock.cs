namespace Example.Testing;

/// <summary>The real time, moved. Redis and RedisCache do not follow.</summary>
public sealed class MovableClock : TimeProvider
{
    private long offset; // ticks

    public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref offset));

    /// <summary>Sets by how much the time is moved, and returns the new time.</summary>
    public DateTimeOffset Move(TimeSpan by)
    {
        Interlocked.Exchange(ref offset, by.Ticks);
        return GetUtcNow();
    }
}
