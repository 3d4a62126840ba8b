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
