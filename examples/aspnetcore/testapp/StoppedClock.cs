namespace Example.Testing;

/// <summary>The time that the test has set last, the real one until then. Redis and RedisCache do not follow.</summary>
public sealed class StoppedClock : TimeProvider
{
    private long ticks; // 0: not set

    public override DateTimeOffset GetUtcNow() =>
        Interlocked.Read(ref ticks) is var t and not 0 ? new DateTimeOffset(t, TimeSpan.Zero) : base.GetUtcNow();

    /// <summary>Sets the time, which then stands still: two readings are the same, however slow the machine.</summary>
    public void Set(DateTimeOffset now) => Interlocked.Exchange(ref ticks, now.UtcTicks);
}
