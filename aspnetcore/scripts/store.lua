-- Starts a session, ending, at the cap, the oldest.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects, 5.. records of ARGV[11..]
-- ARGV 1 session key, 2 subject, 3 data, 4 expiry in .NET ticks, 5 in ms, 6 cap (0: none),
--      7 key of the session that this one replaces, which does not count ('' if none): the caller ends it,
--      8 name of this write,
--      9 'again' if the session of this key may have ended, as where ASP.NET Core
--      signs out and in within one request ('' if not),
--      10 the caller's time in ms, 11.. keys of sessions that may have to go, first one first
-- reply 'OK', 'PAST': expired already, 'LATE': see late, 'FULL': more have to go, 'TAKEN': the key is in use, or was
local record, index, sessions, subjects = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, subject, expiry, cap, replaced = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local mine = field(ARGV[8], expiry, subject)
local t = now()
if late(ARGV[10], t) then return 'LATE' end
if tonumber(expiry) <= t then return 'PAST' end
local data, ours = read(record)
if data and ours == mine then return 'OK' end -- a repeated command whose reply was lost
if data or ours and ARGV[9] ~= 'again' then return 'TAKEN' end

local gone = {}
if cap > 0 then
  local others, n = {}, 0
  for _, other in ipairs(live(index, t)) do
    if other ~= replaced then others[other], n = true, n + 1 end
  end
  for i = 11, #ARGV do
    if n < cap then break end
    if others[ARGV[i]] then gone[#gone + 1], n = i, n - 1 end
  end
  if n >= cap then return 'FULL' end
end
redis.call('ZADD', index, 'XX', 0, '') -- does nothing, but fails if memory is full: nothing has ended then
for _, i in ipairs(gone) do drop(KEYS[i - 6], index, sessions, ARGV[i], t) end
redis.call('HSET', record, 'absexp', ARGV[4], 'sldexp', '-1', 'data', ARGV[3], 'ticketstore', mine)
redis.call('PEXPIREAT', record, expiry)
redis.call('ZADD', index, expiry, key)
redis.call('ZADD', sessions, expiry, key)
settle(index, sessions, subjects, subject, t)
return 'OK'
