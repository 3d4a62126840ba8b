-- Points from a link to a session that is about to begin, and takes out up to
-- 100 pointers to sessions that have ended by now.
--   linked   partition in hex, what the census has of the session, a space, when
--            it began (ms) -> when it ends at the latest, and a minute more
-- KEYS 1 pointers of the link
-- ARGV 1 the pointer up to when it began, 2 when the session ends at the latest,
--      3 when it began by the clock of whoever issued it ('' for that of Redis),
--      4 for how long its sign-in has been under way
-- reply when it began
local pointers, t = KEYS[1], now()
local began = ARGV[3]
if began == '' then began = string.format('%.0f', t - ARGV[4]) end
local till = ARGV[2] + 60000
local pointer = ARGV[1] .. began
if broken(redis.pcall('ZADD', pointers, till, pointer)) then
  redis.call('DEL', pointers)
  redis.call('ZADD', pointers, till, pointer)
end
local dead = redis.call('ZRANGEBYSCORE', pointers, 0, t, 'LIMIT', 0, 100)
if #dead > 0 then redis.call('ZREM', pointers, unpack(dead)) end
local _, last = last(pointers)
redis.call('PEXPIREAT', pointers, last)
return began
